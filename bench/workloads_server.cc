// workloads_server.cc: objects outlive the request, and often the thread, that made them, as in a server.  layer: bench
#include "workloads.h"

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <new>

namespace bm::bench {
namespace {

// larson, larson-sized: objects of 8 to 1000 bytes are replaced in random order; again and again a fresh thread takes over its
// predecessor's objects. After Larson and Krishnan's server simulation; sized: a C++ program's delete, which knows the size.
struct Unsized {
  static void drop(Block* block) {
    retire(block);
    ::operator delete(block);
  }
};
struct Sized {
  static void drop(Block* block) { ::operator delete(block, retire(block)); }
};

template <class Delete>
void serve(std::size_t line, std::size_t generations) {
  constexpr std::size_t kObjects = 5000, kRequests = 50'000;
  bench_random random = seeded(line);
  const auto make = [&random] {
    const std::size_t bytes = bench_between(&random, 8, 1000);
    return sign(::operator new(bytes), bytes);
  };
  std::vector<Block*> objects(kObjects);
  for (Block*& object : objects) object = make();
  while (generations-- != 0)
    std::thread([&] {
      for (std::size_t i = 0; i < kRequests; ++i) {
        Block*& object = objects[bench_between(&random, 0, kObjects - 1)];
        Delete::drop(object);
        object = make();
      }
    }).join();
  for (Block* const object : objects) Delete::drop(object);
}

template <class Delete>
void larson(Scale scale) {
  on_threads(2, [scale](std::size_t line) { serve<Delete>(line, scale.of(375)); });
}

// xmalloc, xmalloc-8: producers allocate and consumers free, a batch at a time through a queue: no thread frees what it allocated.
// After xmalloc-test (Lever and Boreham).
using Batch = std::array<Block*, 4096>;

class Queue {
 public:
  explicit Queue(std::size_t producers) : producers_(producers) {}

  void push(std::unique_ptr<Batch> batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return batches_.size() < kMost; });
    batches_.push_back(std::move(batch));
    changed_.notify_all();
  }
  void producer_done() {
    const std::lock_guard lock(mutex_);
    --producers_;
    changed_.notify_all();
  }
  // Null when there will be no more.
  std::unique_ptr<Batch> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !batches_.empty() || producers_ == 0; });
    if (batches_.empty()) return nullptr;
    std::unique_ptr<Batch> batch = std::move(batches_.front());
    batches_.pop_front();
    changed_.notify_all();
    return batch;
  }

 private:
  static constexpr std::size_t kMost = 16;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Batch>> batches_;
  std::size_t producers_;
};

void produce(Queue& queue, bench_random random, std::size_t batches) {
  while (batches-- != 0) {
    auto batch = std::make_unique<Batch>();
    for (Block*& block : *batch) block = allocate(power_law(random, 16, 2048));
    queue.push(std::move(batch));
  }
  queue.producer_done();
}

void consume(Queue& queue) {
  while (const std::unique_ptr<Batch> batch = queue.pop())
    for (Block* const block : *batch) release(block);
}

template <std::size_t kThreads>
void xmalloc(Scale scale) {
  Queue queue(kThreads / 2);
  on_threads(kThreads, [&](std::size_t thread) {
    if (thread % 2 == 0)
      produce(queue, seeded(thread), scale.of(4800) / kThreads);
    else
      consume(queue);
  });
}

}  // namespace

std::span<const Workload> server_workloads() {
  static constexpr Workload kAll[] = {
      {"larson", larson<Unsized>}, {"larson-sized", larson<Sized>}, {"xmalloc", xmalloc<2>}, {"xmalloc-8", xmalloc<8>}};
  return kAll;
}

}  // namespace bm::bench

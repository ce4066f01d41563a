// workloads_threads.cc: threads that hand their blocks to others, also by ending.  layer: bench
#include "workloads.h"

#include <array>
#include <atomic>

namespace bm::bench {
namespace {

Block* allocate_list(bench_random& random, std::size_t length, std::size_t most) {
  Block* first = nullptr;
  while (length-- != 0) {
    Block* const block = allocate(power_law(random, 16, most));
    block->next = first;
    first = block;
  }
  return first;
}

// mstress, mstress-8: threads come and go in rounds; each builds short chains, frees some, keeps some to its end, and swaps
// others for what lies in an array that all share. After the stress test of Leijen, Zorn and de Moura's mimalloc.
using Shared = std::array<std::atomic<Block*>, 1000>;

std::atomic<Block*>& any_place(Shared& shared, bench_random& random) {
  return shared[bench_between(&random, 0, shared.size() - 1)];
}

Block* stress_chain(bench_random& random) {
  if (!one_in(random, 2000)) return allocate_list(random, bench_between(&random, 1, 4), 32 << 10);
  Block* const large = allocate(bench_between(&random, 100 << 10, 1 << 20));
  large->next = nullptr;
  return large;
}

void stress(Shared& shared, bench_random random, std::size_t steps) {
  std::vector<Block*> own, kept;
  while (steps-- != 0) {
    if (own.empty() || one_in(random, 2)) {
      (one_in(random, 8) ? kept : own).push_back(stress_chain(random));
      continue;
    }
    Block*& any = own[bench_between(&random, 0, own.size() - 1)];
    if (one_in(random, 3)) {
      any = any_place(shared, random).exchange(any);
      if (any != nullptr) continue;
    } else {
      release_list(any);
    }
    any = own.back();
    own.pop_back();
  }
  for (Block* const chain : own) release_list(chain);
  for (Block* const chain : kept) release_list(any_place(shared, random).exchange(chain));
}

template <std::size_t kThreads>
void mstress(Scale scale) {
  Shared shared{};
  const std::size_t rounds = scale.of(150);
  for (std::size_t round = 0; round < rounds; ++round) {
    on_threads(kThreads,
               [&](std::size_t thread) { stress(shared, seeded(round * kThreads + thread), 100'000 / kThreads); });
    for (std::size_t i = round % 2; i < shared.size(); i += 2) release_list(shared[i].exchange(nullptr));
  }
  for (std::atomic<Block*>& place : shared) release_list(place.exchange(nullptr));
}

// rptest, rptest-8: each thread replaces blocks of 16 bytes to 64 KiB, half of them uniform in size and half by a power law; what
// goes is its own to free or, every second loop, the next thread's. After Jansson's benchmark of rpmalloc.
struct alignas(64) Inbox {
  std::atomic<Block*> first{nullptr};
};

// Who finds an earlier list still in the neighbour's inbox frees that itself: a thread that is slow does not gather memory.
void replace_and_pass_on(Inbox& own, Inbox& neighbour, bench_random random, std::size_t loops) {
  std::vector<Block*> blocks(1000);
  while (loops-- != 0) {
    Block* passed = nullptr;
    for (int i = 0; i < 500; ++i) {
      Block*& block = blocks[bench_between(&random, 0, blocks.size() - 1)];
      if (block != nullptr && loops % 2 == 0) {
        block->next = std::exchange(passed, block);
      } else {
        release(block);
      }
      block = allocate(one_in(random, 2) ? bench_between(&random, 16, 16'000) : power_law(random, 16, 64 << 10));
    }
    if (passed != nullptr) release_list(neighbour.first.exchange(passed));
    release_list(own.first.exchange(nullptr));
  }
  for (Block* const block : blocks) release(block);
}

template <std::size_t kThreads>
void rptest(Scale scale) {
  std::array<Inbox, kThreads> inboxes;
  on_threads(kThreads, [&](std::size_t thread) {
    replace_and_pass_on(inboxes[thread], inboxes[(thread + 1) % kThreads], seeded(thread), scale.of(16'000) / kThreads);
  });
  for (Inbox& inbox : inboxes) release_list(inbox.first);
}

// mleak: short threads that end and leave all they allocated; threads of the other line free it.
// After mleak of the mimalloc benchmarks: what ended threads leave must not accumulate.
void mleak(Scale scale) {
  std::array<std::atomic<Block*>, 2> left{};
  on_threads(2, [&](std::size_t line) {
    bench_random random = seeded(line);
    for (std::size_t i = scale.of(6000); i != 0; --i)
      std::thread([&] {
        release_list(left[1 - line].exchange(nullptr));
        release_list(left[line].exchange(allocate_list(random, 1000, 4096)));
      }).join();
  });
  for (std::atomic<Block*>& list : left) release_list(list);
}

}  // namespace

std::span<const Workload> thread_workloads() {
  static constexpr Workload kAll[] = {{"mstress", mstress<2>},
                                      {"mstress-8", mstress<8>},
                                      {"rptest", rptest<2>},
                                      {"rptest-8", rptest<8>},
                                      {"mleak", mleak}};
  return kAll;
}

}  // namespace bm::bench

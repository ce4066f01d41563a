// test_fatal.cc: what damages a heap ends the process with a message that names the pointer, in a child.
#include <catch2/catch.hpp>

#include <csignal>
#include <vector>

#include "tests/heap/check_heap.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

// The body is expected to be ended by "buddymalloc: <message>: 0x...".
template <class Body>
void check_fatal(const char* message, Body body) {
  const Ending o = in_child([&] {
    body();
    return true;
  });
  INFO("stderr: " << o.text << " ok " << o.ok);
  CHECK(o.signal == SIGABRT);
  CHECK(o.text.find(std::string("buddymalloc: ") + message + ": 0x") == 0);
  CHECK(o.text.find('\n') == o.text.size() - 1);
}

char* block(std::size_t bytes) { return static_cast<char*>(allocate(bytes)); }

constexpr const char* kDouble = "double free";
constexpr const char* kInvalid = "free of an invalid pointer";
constexpr const char* kNoStart = "double free, or free of a pointer that no malloc returned";
constexpr const char* kForeign = "free of a pointer that no malloc returned";

}  // namespace

TEST_CASE("the message names the pointer", "[heap][fatal]") {
  void* p = nullptr;
  const Ending o = in_child([&] {
    p = reinterpret_cast<void*>(std::uintptr_t{0x12345670});
    deallocate(p);
    return true;
  });
  CHECK(o.signal == SIGABRT);
  CHECK(o.text == "buddymalloc: free of a pointer that no malloc returned: 0x12345670\n");
}

TEST_CASE("a double free of a small object is fatal when its bin gives back", "[heap][fatal]") {
  check_fatal(kDouble, [] {
    char* const keep = block(100);  // holds the slab
    char* const p = block(100);
    deallocate(p);
    deallocate(p);
    flush_own();
    deallocate(keep);
  });
  check_fatal(kDouble, [] {
    block(100);
    char* const p = block(100);
    deallocate(p);
    flush_own();
    deallocate(p);
    flush_own();
  });
  check_fatal(kNoStart, [] {
    char* const p = block(1008);  // alone in its slab, which goes when it is flushed
    deallocate(p);
    flush_own();
    deallocate(p);
  });
}

TEST_CASE("a double free of a run class is fatal when its bin gives back", "[heap][fatal]") {
  check_fatal(kDouble, [] {
    deallocate(block(100'000));
    char* const p = block(100'000);  // soon again: the bin keeps it
    deallocate(p);
    deallocate(p);
    flush_own();
  });
  check_fatal(kNoStart, [] {
    char* const p = block(100'000);
    deallocate(p);
    flush_own();
    deallocate(p);
  });
}

TEST_CASE("a double free of a run or a mapping is fatal at once", "[heap][fatal]") {
  for (const std::size_t bytes : {2 * kMiB, 9 * kMiB})
    check_fatal(kNoStart, [&] {
      char* const p = block(bytes);
      deallocate(p);
      deallocate(p);
    });
  check_fatal(kForeign, [] {
    char* const p = block((std::size_t{1} << 30) + 1);
    deallocate(p);
    deallocate(p);
  });
}

TEST_CASE("two frees by other threads are fatal at the second", "[heap][fatal]") {
  check_fatal(kDouble, [] {
    Worker owner;
    char* p = nullptr;
    owner.run([&] {
      block(100);
      p = block(100);
    });
    deallocate(p);
    deallocate(p);
  });
}

TEST_CASE("a free by another thread and one by the owner are fatal in either order", "[heap][fatal]") {
  const auto other_first = [](std::size_t then_free) {
    Worker owner;
    std::vector<char*> all(4000);
    owner.run([&] {
      for (auto& p : all) p = block(2048);
    });
    deallocate(all[0]);
    owner.run([&] {
      for (std::size_t i = 0; i < then_free; ++i)
        deallocate(all[i]);  // from some number on the bin gives back by itself
      flush_own();
    });
  };
  check_fatal(kDouble, [&] { other_first(1); });
  check_fatal(kDouble, [&] { other_first(3900); });
  check_fatal(kDouble, [] {
    Worker owner;
    char* p = nullptr;
    owner.run([&] {
      block(100);
      deallocate(p = block(100));
      flush_own();
    });
    deallocate(p);
  });
}

TEST_CASE("a pointer into an object is fatal", "[heap][fatal]") {
  check_fatal(kInvalid, [] {
    deallocate(block(100) + 16);
    flush_own();
  });
  check_fatal(kInvalid, [] {
    Worker owner;
    char* p = nullptr;
    owner.run([&] { p = block(100); });
    deallocate(p + 16);
  });
  check_fatal(kInvalid, [] { deallocate(block(2 * kMiB) + 16); });
  check_fatal(kNoStart, [] { deallocate(block(2 * kMiB) + kPageSize); });
  check_fatal(kNoStart, [] { deallocate(block(100'000) + kPageSize); });
  check_fatal(kForeign, [] { deallocate(block((std::size_t{1} << 30) + 1) + kPageSize); });
}

TEST_CASE("a pointer into the first page of a run class is fatal", "[heap][fatal]") {
  check_fatal(kInvalid, [] {
    Worker owner;
    char* p = nullptr;
    owner.run([&] { p = block(100'000); });
    deallocate(p + 16);
  });
  check_fatal(kInvalid, [] {
    deallocate(block(100'000) + 16);
    flush_own();
  });
}

TEST_CASE("a pointer into a slab's tail is fatal", "[heap][fatal]") {
  const slab::SizeClass& info = slab::kClass[slab::class_of(320)];
  REQUIRE(info.slab_bytes() % info.size != 0);
  check_fatal(kInvalid, [&] {
    char* p = block(320);
    p = reinterpret_cast<char*>(align_down(reinterpret_cast<std::uintptr_t>(p), info.slab_bytes()));
    deallocate(p + std::size_t{info.objects} * info.size);
    flush_own();
  });
}

TEST_CASE("pointers that never came from here are fatal", "[heap][fatal]") {
  int on_stack = 0;
  static int in_data = 0;
  check_fatal(kForeign, [&] { deallocate(&on_stack); });
  check_fatal(kForeign, [&] { deallocate(&in_data); });
  check_fatal(kForeign, [] {
    void* volatile of_libc = std::malloc(10);
    deallocate(of_libc);
  });
  constexpr const char* kReallocForeign = "realloc of a pointer that no malloc returned";
  check_fatal(kReallocForeign, [&] { heap::reallocate(&on_stack, 10); });
  check_fatal(kReallocForeign, [] {
    char* const p = block(5 * kMiB);
    deallocate(p);
    heap::reallocate(p, 10);
  });
  check_fatal(kReallocForeign, [] { heap::reallocate(block(5 * kMiB) + kPageSize, 10); });
}

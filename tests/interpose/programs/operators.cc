// operators.cc: all 20 operators new and delete, handlers, std::bad_alloc. Prints what went wrong; exit status 3 when
// everything is right and the blocks were buddymalloc's, 0 when right on another malloc, 1 when wrong.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>

#include "on_us.h"

// clang 14 does not declare these by itself.
void operator delete(void*, std::size_t) noexcept;
void operator delete[](void*, std::size_t) noexcept;
void operator delete(void*, std::size_t, std::align_val_t) noexcept;
void operator delete[](void*, std::size_t, std::align_val_t) noexcept;

namespace {

int wrong = 0;
int handler_calls = 0;
volatile std::size_t huge = SIZE_MAX / 4;
constexpr std::align_val_t on_256{256};
volatile std::size_t forty_eight = 48;

void expect(bool right, const char* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  wrong++;
}

bool good(void* block, std::size_t alignment) {
  if (block == nullptr || reinterpret_cast<std::uintptr_t>(block) % alignment != 0) return false;
  std::memset(block, 0x42, 100);
  return true;
}

template <typename Call>
bool throws_bad_alloc(Call call) {
  try {
    call();
  } catch (const std::bad_alloc& e) {
    return e.what() != nullptr;
  }
  return false;
}

void every_pair() {
  void* p = nullptr;
  expect(good(p = operator new(100), 16), "new");
  operator delete(p);
  expect(good(p = operator new[](100), 16), "new[]");
  operator delete[](p);
  expect(good(p = operator new(100, std::nothrow), 16), "new nothrow");
  operator delete(p, std::nothrow);
  expect(good(p = operator new[](100, std::nothrow), 16), "new[] nothrow");
  operator delete[](p, std::nothrow);
  expect(good(p = operator new(100), 16), "new, sized");
  operator delete (p, std::size_t{100});
  expect(good(p = operator new[](100), 16), "new[], sized");
  operator delete[](p, std::size_t{100});
  expect(good(p = operator new(100, on_256), 256), "new aligned");
  operator delete(p, on_256);
  expect(good(p = operator new[](100, on_256), 256), "new[] aligned");
  operator delete[](p, on_256);
  expect(good(p = operator new(100, on_256, std::nothrow), 256), "new aligned nothrow");
  operator delete(p, on_256, std::nothrow);
  expect(good(p = operator new[](100, on_256, std::nothrow), 256), "new[] aligned nothrow");
  operator delete[](p, on_256, std::nothrow);
  expect(good(p = operator new(100, on_256), 256), "new aligned, sized");
  operator delete (p, std::size_t{100}, on_256);
  expect(good(p = operator new[](100, on_256), 256), "new[] aligned, sized");
  operator delete[](p, std::size_t{100}, on_256);
  expect((p = operator new(0)) != nullptr, "new of 0 bytes");
  operator delete(p);
  operator delete(nullptr);
  operator delete[](nullptr, on_256);
}

void out_of_memory() {
  expect(throws_bad_alloc([] { (void)operator new(huge); }), "new throws");
  expect(throws_bad_alloc([] { (void)operator new[](huge); }), "new[] throws");
  expect(throws_bad_alloc([] { (void)operator new(huge, on_256); }), "new aligned throws");
  expect(throws_bad_alloc([] { (void)operator new[](huge, on_256); }), "new[] aligned throws");
  expect(throws_bad_alloc([] { (void)operator new (8, std::align_val_t{forty_eight}); }),
         "new with an alignment of 48 throws");
  expect(operator new(huge, std::nothrow) == nullptr, "new nothrow returns null");
  expect(operator new[](huge, std::nothrow) == nullptr, "new[] nothrow returns null");
  expect(operator new(huge, on_256, std::nothrow) == nullptr, "new aligned nothrow returns null");
  expect(operator new[](huge, on_256, std::nothrow) == nullptr, "new[] aligned nothrow returns null");
}

void give_up_at_third_call() {
  if (++handler_calls == 3) std::set_new_handler(nullptr);
}

void throw_something_else() {
  handler_calls++;
  throw 42;
}

void throw_bad_alloc() {
  handler_calls++;
  throw std::bad_alloc();
}

void handlers() {
  std::set_new_handler(give_up_at_third_call);
  expect(throws_bad_alloc([] { (void)operator new(huge); }) && handler_calls == 3, "new asks the handler again");
  std::set_new_handler(give_up_at_third_call);
  handler_calls = 0;
  expect(operator new(huge, std::nothrow) == nullptr&& handler_calls == 3, "new nothrow asks it too");
  std::set_new_handler(throw_something_else);
  handler_calls = 0;
  int caught = 0;
  try {
    (void)operator new(huge);
  } catch (int value) {
    caught = value;
  }
  expect(caught == 42 && handler_calls == 1, "what the handler throws comes through new");
  std::set_new_handler(throw_bad_alloc);
  handler_calls = 0;
  expect(operator new(huge, std::nothrow) == nullptr&& handler_calls == 1, "but not through new nothrow");
  expect(operator new(huge, on_256, std::nothrow) == nullptr&& handler_calls == 2, "nor through the aligned one");
  std::set_new_handler(nullptr);
}

}  // namespace

int main() {
  every_pair();
  out_of_memory();
  handlers();
  void* from_new = operator new(10);
  const bool ours = on_us(from_new);
  std::free(from_new);
  operator delete(std::malloc(10));
  if (wrong != 0) return 1;
  return ours ? 3 : 0;
}

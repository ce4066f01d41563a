// new_failed.cc: new handlers and std::bad_alloc without a C++ runtime of our own.  layer: interpose
// The one file to be built with -fexceptions, and without LTO, which loses the .weak below.
// [NF-1] every symbol of a C++ runtime is a weak reference: a C program links and runs without one, and a C++ program
//        gets those of its own runtime.
// [NF-2] a runtime that came later, by dlopen of a C++ plug-in into a C program, is looked up at the time of need
//        (late_runtime.cc, which only the shared library has).
// [NF-3] where there is none at all, nobody could catch anything: say so and abort.
#include "interpose/new_failed.h"

#include <stdlib.h>

#include <bit>

#include "api/malloc_api.h"
#include "interpose/late_runtime.h"
#include "os/fatal.h"

// The compiler refers to these by itself for the catch clause below, so there is no declaration to mark.
asm(".weak __gxx_personality_v0, __cxa_begin_catch, __cxa_end_catch, _ZSt9terminatev");

namespace std {
[[gnu::weak]] new_handler get_new_handler() noexcept;
}

// Names of the Itanium C++ ABI, the same for libstdc++ and libc++. A throw expression would do, but it makes the
// compiler emit a type_info of its own with strong references to the runtime.
namespace runtime {
using Destructor = void(void* object);
extern "C" {
[[gnu::weak]] void* allocate_exception(std::size_t size) asm("__cxa_allocate_exception");
[[gnu::weak, noreturn]] void throw_exception(void* object, const void* type, Destructor* destroy) asm("__cxa_throw");
[[gnu::weak]] void destroy_bad_alloc(void* object) asm("_ZNSt9bad_allocD1Ev");
[[gnu::weak]] extern const char bad_alloc_type asm("_ZTISt9bad_alloc");
[[gnu::weak]] extern const void* const bad_alloc_vtable[] asm("_ZTVSt9bad_alloc");
}
}  // namespace runtime

namespace bm::interpose {
namespace {

// A static C++ program that never names std::bad_alloc has the functions without the class.
bool can_throw_bad_alloc() { return &runtime::throw_exception != nullptr && &runtime::bad_alloc_type != nullptr; }

[[noreturn]] void throw_linked_bad_alloc() {
  void* object = runtime::allocate_exception(sizeof(std::bad_alloc));
  // The object is its vtable pointer alone, which points behind offset-to-top and type_info.
  *static_cast<const void**>(object) = &runtime::bad_alloc_vtable[2];
  runtime::throw_exception(object, &runtime::bad_alloc_type, &runtime::destroy_bad_alloc);
}

template <typename Function>
Function* late_function(const char* name) {
  return &late_symbol != nullptr ? std::bit_cast<Function*>(late_symbol(name)) : nullptr;
}

std::new_handler current_handler() {
  if (&std::get_new_handler != nullptr) return std::get_new_handler();
  auto* get_new_handler = late_function<std::new_handler()>("_ZSt15get_new_handlerv");
  return get_new_handler != nullptr ? get_new_handler() : nullptr;
}

[[noreturn]] void throw_bad_alloc() {
  if (can_throw_bad_alloc()) throw_linked_bad_alloc();
  auto* throw_late = late_function<void()>("_ZSt17__throw_bad_allocv");
  if (throw_late != nullptr) throw_late();
  constexpr char kMessage[] = "buddymalloc: operator new: out of memory, and no C++ runtime to throw std::bad_alloc\n";
  os::write_all(2, kMessage, sizeof kMessage - 1);
  abort();
}

}  // namespace

void* new_failed(std::size_t size, std::align_val_t alignment) {
  const auto boundary = static_cast<std::size_t>(alignment);
  for (;;) {
    const std::new_handler handler = api::is_power_of_two(boundary) ? current_handler() : nullptr;
    if (handler == nullptr) throw_bad_alloc();
    handler();
    void* block = api::allocate_aligned(size, boundary);
    if (block != nullptr) return block;
  }
}

void* new_failed_nothrow(std::size_t size, std::align_val_t alignment) noexcept {
  // Without a handler nothing can throw but bad_alloc itself; asking first spares C programs the throw.
  if (current_handler() == nullptr) return nullptr;
  try {
    return new_failed(size, alignment);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace bm::interpose

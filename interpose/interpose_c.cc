// interpose_c.cc: every public symbol of glibc's malloc, one line each.  layer: interpose
// [IP-1] this one object defines every symbol that glibc's malloc.o defines. A static link that takes one of them
//        from here and another from malloc.o would have malloc twice, and does not link.
// [IP-2] nothing here calls another exported symbol: a program may override any of them on its own.
// Prototypes come from libc's headers, so that a wrong one does not compile.
#include <malloc.h>
#include <stdlib.h>

#include "api/malloc_api.h"
#include "api/malloc_info.h"
#include "buddymalloc/buddymalloc.h"
#include "interpose/anchor.h"

namespace api = bm::api;

const char bm::interpose::c_family_anchor = 0;

namespace {

[[gnu::used]] const char* const startup = &bm::interpose::startup_anchor;

}  // namespace

extern "C" {

// C, POSIX
BM_EXPORT void* malloc(size_t size) noexcept { return api::malloc(size); }
BM_EXPORT void free(void* block) noexcept { api::free(block); }
BM_EXPORT void* calloc(size_t count, size_t size) noexcept { return api::calloc(count, size); }
BM_EXPORT void* realloc(void* block, size_t size) noexcept { return api::realloc(block, size, bm::heap::call_path()); }
BM_EXPORT void* reallocarray(void* block, size_t n, size_t size) noexcept {
  return api::reallocarray(block, n, size, bm::heap::call_path());
}
BM_EXPORT void* aligned_alloc(size_t alignment, size_t size) noexcept { return api::memalign(alignment, size); }
BM_EXPORT int posix_memalign(void** out, size_t alignment, size_t size) noexcept {
  return api::posix_memalign(out, alignment, size);
}

// C23. The size is what the caller believes; the heap knows better and asks nobody.
BM_EXPORT void free_sized(void* block, size_t) noexcept { api::free(block); }
BM_EXPORT void free_aligned_sized(void* block, size_t, size_t) noexcept { api::free(block); }

// BSD, SVID, GNU
BM_EXPORT void cfree(void* block) noexcept { api::free(block); }
BM_EXPORT void* memalign(size_t alignment, size_t size) noexcept { return api::memalign(alignment, size); }
BM_EXPORT void* valloc(size_t size) noexcept { return api::valloc(size); }
BM_EXPORT void* pvalloc(size_t size) noexcept { return api::pvalloc(size); }
BM_EXPORT size_t malloc_usable_size(void* block) noexcept { return api::malloc_usable_size(block); }
BM_EXPORT int malloc_trim(size_t keep) noexcept { return api::malloc_trim(keep); }
BM_EXPORT void malloc_stats() noexcept { api::malloc_stats(); }
BM_EXPORT int malloc_info(int options, FILE* stream) noexcept { return api::malloc_info(options, stream); }
BM_EXPORT int mallopt(int parameter, int value) noexcept { return api::mallopt(parameter, value); }
BM_EXPORT struct mallinfo mallinfo() noexcept { return api::read_mallinfo(); }
BM_EXPORT struct mallinfo2 mallinfo2() noexcept { return api::read_mallinfo2(); }

// glibc's second names. Programs of their own malloc wrappers call the __libc_ ones.
BM_EXPORT void* __libc_malloc(size_t size) noexcept { return api::malloc(size); }
BM_EXPORT void __libc_free(void* block) noexcept { api::free(block); }
BM_EXPORT void* __libc_calloc(size_t count, size_t size) noexcept { return api::calloc(count, size); }
BM_EXPORT void* __libc_realloc(void* block, size_t size) noexcept {
  return api::realloc(block, size, bm::heap::call_path());
}
BM_EXPORT void* __libc_reallocarray(void* block, size_t n, size_t size) noexcept {
  return api::reallocarray(block, n, size, bm::heap::call_path());
}
BM_EXPORT void* __libc_memalign(size_t alignment, size_t size) noexcept { return api::memalign(alignment, size); }
BM_EXPORT void* __libc_valloc(size_t size) noexcept { return api::valloc(size); }
BM_EXPORT void* __libc_pvalloc(size_t size) noexcept { return api::pvalloc(size); }
BM_EXPORT int __libc_mallopt(int parameter, int value) noexcept { return api::mallopt(parameter, value); }
BM_EXPORT struct mallinfo __libc_mallinfo() noexcept { return api::read_mallinfo(); }
BM_EXPORT struct mallinfo2 __libc_mallinfo2() noexcept { return api::read_mallinfo2(); }

BM_EXPORT void* __malloc(size_t size) noexcept { return api::malloc(size); }
BM_EXPORT void __free(void* block) noexcept { api::free(block); }
BM_EXPORT void* __calloc(size_t count, size_t size) noexcept { return api::calloc(count, size); }
BM_EXPORT void* __realloc(void* block, size_t size) noexcept {
  return api::realloc(block, size, bm::heap::call_path());
}
BM_EXPORT void* __memalign(size_t alignment, size_t size) noexcept { return api::memalign(alignment, size); }
BM_EXPORT int __posix_memalign(void** out, size_t alignment, size_t size) noexcept {
  return api::posix_memalign(out, alignment, size);
}
BM_EXPORT void* __valloc(size_t size) noexcept { return api::valloc(size); }
BM_EXPORT void* __pvalloc(size_t size) noexcept { return api::pvalloc(size); }
BM_EXPORT size_t __malloc_usable_size(void* block) noexcept { return api::malloc_usable_size(block); }
BM_EXPORT int __malloc_trim(size_t keep) noexcept { return api::malloc_trim(keep); }
BM_EXPORT void __malloc_stats() noexcept { api::malloc_stats(); }
BM_EXPORT int __malloc_info(int options, FILE* stream) noexcept { return api::malloc_info(options, stream); }
BM_EXPORT int __mallopt(int parameter, int value) noexcept { return api::mallopt(parameter, value); }
BM_EXPORT struct mallinfo __mallinfo() noexcept { return api::read_mallinfo(); }
BM_EXPORT struct mallinfo2 __mallinfo2() noexcept { return api::read_mallinfo2(); }

// What fork and thread exit of a static libc call, weakly in 2.36. The heap detects the child of a fork by itself and
// holds no lock meanwhile, and hears of the end of a thread through its own hook: there is nothing to do.
BM_EXPORT void __malloc_fork_lock_parent() noexcept {}
BM_EXPORT void __malloc_fork_unlock_parent() noexcept {}
BM_EXPORT void __malloc_fork_unlock_child() noexcept {}
BM_EXPORT void __malloc_arena_thread_freeres() noexcept {}

// glibc's source of fresh memory under a lock that only its own malloc takes: refuse everybody else.
BM_EXPORT void* __glibc_morecore(ptrdiff_t) noexcept { return nullptr; }

}  // extern "C"

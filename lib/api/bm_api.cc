// bm_api.cc: the functions of <buddymalloc/buddymalloc.h>, one line each.  layer: api
// An object of its own: the core archive has these and no malloc, so both can live in one program.
#include "api/malloc_api.h"
#include "api/malloc_info.h"
#include "buddymalloc/buddymalloc.h"
#include "heap/reports.h"

namespace api = bm::api;
namespace heap = bm::heap;

extern "C" {

void* bm_malloc(size_t size) { return api::malloc(size); }
void bm_free(void* block) { api::free(block); }
void* bm_calloc(size_t count, size_t size) { return api::calloc(count, size); }
void* bm_realloc(void* block, size_t size) { return api::realloc(block, size, heap::call_path()); }
void* bm_aligned_alloc(size_t alignment, size_t size) { return api::aligned_alloc_strict(alignment, size); }
size_t bm_usable_size(const void* block) { return api::malloc_usable_size(block); }
int bm_owns(const void* address) { return heap::owns(address) ? 1 : 0; }
int bm_trim(size_t keep) { return api::malloc_trim(keep); }
int bm_validate(void) { return heap::validate(); }
void bm_stats_print(int fd) { heap::print_statistics(fd); }
void bm_buddyinfo(int fd) { heap::print_buddyinfo(fd); }
void bm_pagetypeinfo(int fd) { heap::print_pagetypeinfo(fd); }
void bm_zoneinfo(int fd) { heap::print_zoneinfo(fd); }
void bm_slabinfo(int fd) { heap::print_slabinfo(fd); }
const char* bm_version(void) { return BM_VERSION; }

}  // extern "C"

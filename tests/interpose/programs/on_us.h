/* on_us.h: does this block come from buddymalloc? Shared by the programs that the interposition tests build.
 * BM_STATIC: linked with the archive, ask directly. Otherwise ask whatever is preloaded; without it, no. */
#ifndef BM_TESTS_ON_US_H
#define BM_TESTS_ON_US_H

#ifdef BM_STATIC
#ifdef __cplusplus
extern "C"
#endif
    int
    bm_owns(const void* address);
static int on_us(const void* block) { return bm_owns(block); }
#else
#include <dlfcn.h>
static int on_us(const void* block) {
  int (*owns)(const void*) = (int (*)(const void*))dlsym(RTLD_DEFAULT, "bm_owns");
  return owns != 0 && owns(block);
}
#endif

#endif

// validate.h: the allocator's own check of itself, where it offers one: bm_validate() returns 0 when all is well.
#pragma once
#include <dlfcn.h>

#include "storm.h"

static int (*validate_function)(void);

// Looked up before the storm: dlsym takes locks that a forked child must not wait for.
static inline void validate_lookup(void) {
  validate_function = (int (*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "bm_validate");
}

static inline void validate(const char* when) {
  int broken = validate_function ? validate_function() : 0;
  if (broken) fail("bm_validate() returned %d %s", broken, when);
}

/* late_runtime.c: a C program that opens a C++ plug-in, privately, as python does with its extensions. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "on_us.h"

int main(int argc, char** argv) {
  void* plugin = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : 0;
  int (*run)(void) = plugin ? (int (*)(void))dlsym(plugin, "run_plugin") : 0;
  if (run == 0) {
    puts(dlerror());
    return 1;
  }
  if (run() != 0) {
    puts("wrong: the plug-in did not catch bad_alloc after its handler");
    return 1;
  }
  return on_us(strdup("x")) ? 3 : 0;
}

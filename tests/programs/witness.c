// witness.c: a second preload, which writes down for each process whose malloc it runs on: "program /path/of/library".
// Proof for every program, short-lived or not, without a word on its stderr; BUDDYMALLOC_VERBOSE would upset test suites.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void bear_witness(void) {
  const char* path = getenv("WITNESS_FILE");
  Dl_info owner;
  // valloc stands for its family: malloc itself would be found in the PLT of an executable that takes its address.
  if (!path || !dladdr(dlsym(RTLD_DEFAULT, "valloc"), &owner)) return;
  char line[4200];
  int length = snprintf(line, sizeof line, "%s %s\n", program_invocation_short_name, owner.dli_fname);
  int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return;  // a process that may not write here bears no witness, and its case fails for want of it
  if (write(fd, line, length) != length) abort();
  close(fd);
}

/* memory_usage.h: what the kernel says this process holds.  layer: bench
 * Reads /proc/self/status with plain system calls: measuring must not allocate. */
#ifndef BM_BENCH_MEMORY_USAGE_H
#define BM_BENCH_MEMORY_USAGE_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value in KiB of one line, for instance "VmRSS:"; -1 when it cannot be read. */
static inline long memory_usage_kib(const char* field) {
  char text[4096];
  int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return -1;
  text[length] = '\0';
  const char* line = strstr(text, field);
  return line ? strtol(line + strlen(field), NULL, 10) : -1;
}

#endif

// instructions.c: counts the instructions that one call spends inside the library that serves malloc, by single-stepping.  layer: tests
// Prints "name = count" for calls that a bin answers. x86-64 only. BUDDYMALLOC_BACKGROUND must be 0: a thread made
// meanwhile would single-step too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "on_us.h"

static uintptr_t first, last;  // of the library's addresses
static volatile int counting;
static volatile int count;

static int find_library(struct dl_phdr_info* object, size_t size, void* address) {
  (void)size;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)* const part = &object->dlpi_phdr[i];
    const uintptr_t start = object->dlpi_addr + part->p_vaddr;
    if (part->p_type != PT_LOAD || (uintptr_t)address - start >= part->p_memsz) continue;
    first = start;
    last = start + part->p_memsz;
    return 1;
  }
  return 0;
}

static void on_trap(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number;
  (void)info;
  greg_t* const registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  if (!counting) registers[REG_EFL] &= ~0x100;
  const uintptr_t at = (uintptr_t)registers[REG_RIP];
  if (at >= first && at < last) ++count;
}

static void start(void) {
  count = 0;
  counting = 1;
  __asm__ volatile("subq $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; leaq 128(%%rsp), %%rsp" ::: "memory", "cc");
}

static int stop(void) {
  counting = 0;
  __asm__ volatile("nop" ::: "memory");
  return count;
}

static void measure(size_t bytes) {
  // Twice before: the bin has an object, and room for one.
  for (int i = 0; i < 2; ++i) free(malloc(bytes));
  start();
  void* const p = malloc(bytes);
  const int of_malloc = stop();
  start();
  free(p);
  const int of_free = stop();
  printf("malloc %zu = %d\nfree %zu = %d\n", bytes, of_malloc, bytes, of_free);
}

int main(void) {
  if (!dl_iterate_phdr(find_library, dlsym(RTLD_DEFAULT, "malloc"))) return 1;
  struct sigaction action = {0};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, NULL);
  static const size_t sizes[] = {1, 100, 1024, 4096, 65536, 1048576};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) measure(sizes[i]);
  return on_us(malloc(1)) ? 3 : 0;
}

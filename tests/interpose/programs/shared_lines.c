// shared_lines.c: which bytes of writable memory calls of malloc and free read and write, thread by thread.  layer: tests
// All writable mappings but the threads' stacks and TLS and this program's own data are closed; each access faults, is noted, and is
// let through alone, by single-stepping. Silent stores and locks that are free again afterwards show as well. x86-64 only; built
// with -z now, and without sanitizers. BUDDYMALLOC_BACKGROUND must be 0: another thread would run into what is closed.
//
// Prints "library FIRST END", then for each access "OPERATION|THREAD|CALL|KIND|ADDRESS": KIND is r (read), w (written, perhaps read
// as well) or a (atomic read and write); calls are counted from 0 in each operation.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "on_us.h"

enum {
  PAGE = 4096,
  THREADS = 3,
  MOST_PARTS = 4096,
  MOST_ACCESSES = 1 << 21,
  STACK = 1 << 18,
  OBJECTS = 1 << 14,
  ROW = 4,
  SWEEP = 40,
  TRAP = 0x100
};

struct range {
  uintptr_t first, end;
};
struct access {
  uintptr_t address;
  const char* operation;
  size_t bytes;
  int call;
  char thread, kind;
};

static struct range library, program, tls;  // TLS: the first thread's
static struct range closed[MOST_PARTS];
static int parts;
static uintptr_t opened[8];
static int opened_pages;
static struct access accesses[MOST_ACCESSES];
static size_t access_count;
static struct access now;                           // what is being called, and by whom
static _Alignas(PAGE) char stacks[THREADS][STACK];  // with the threads' TLS on top
static _Alignas(PAGE) char signal_stacks[THREADS][STACK];
static void* objects[THREADS][OBJECTS];

static void fail(const char* what) {
  fputs(what, stderr);
  _exit(1);
}

// The object that an address belongs to, from its first byte to its last.
struct search {
  uintptr_t address;
  struct range found;
};

static int find_object(struct dl_phdr_info* object, size_t size, void* argument) {
  (void)size;
  struct search* const search = argument;
  struct range all = {UINTPTR_MAX, 0};
  int hit = 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)* const part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD) continue;
    const uintptr_t first = object->dlpi_addr + part->p_vaddr;
    const uintptr_t end = (first + part->p_memsz + PAGE - 1) & -(uintptr_t)PAGE;
    if (first < all.first) all.first = first;
    if (end > all.end) all.end = end;
    hit |= search->address - first < part->p_memsz;
  }
  if (hit) search->found = all;
  return hit;
}

static struct range object_of(const void* address) {
  struct search search = {.address = (uintptr_t)address};
  if (!dl_iterate_phdr(find_object, &search)) fail("no object has that address\n");
  return search.found;
}

static void close_part(uintptr_t first, uintptr_t end) {
  if (first >= end) return;
  if (parts == MOST_PARTS) fail("too many mappings\n");
  closed[parts++] = (struct range){first, end};
}

static void close_around(struct range part, struct range hole) {
  if (hole.end <= part.first || hole.first >= part.end) return close_part(part.first, part.end);
  close_part(part.first, hole.first);
  close_part(hole.end, part.end);
}

// All writable memory, but the program's, the first thread's stack, and where its TLS and what the kernel writes beside it are.
static void find_writable(void) {
  static char maps[1 << 20];
  const int file = open("/proc/self/maps", O_RDONLY);
  size_t length = 0;
  for (ssize_t n; (n = read(file, maps + length, sizeof maps - 1 - length)) > 0;) length += (size_t)n;
  close(file);
  maps[length] = '\0';
  parts = 0;
  for (char* line = strtok(maps, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char* rest;
    struct range part;
    part.first = strtoul(line, &rest, 16);
    part.end = strtoul(rest + 1, &rest, 16);
    if (strncmp(rest + 1, "rw-", 3) != 0 || strstr(rest, "[stack]") != NULL) continue;
    if (part.first >= program.first && part.first < program.end) continue;
    close_around(part, tls);
  }
}

static void protect(int how) {
  for (int i = 0; i < parts; ++i) mprotect((void*)closed[i].first, closed[i].end - closed[i].first, how);
}

static int is_closed(uintptr_t address) {
  for (int i = 0; i < parts; ++i)
    if (address >= closed[i].first && address < closed[i].end) return 1;
  return 0;
}

// A lock prefix, or xchg with memory.
static int is_atomic(const unsigned char* code) {
  while (*code == 0x66 || *code == 0x2E || *code == 0x64) ++code;
  if (*code == 0xF0) return 1;
  if ((*code & 0xF0) == 0x40) ++code;
  return *code == 0x86 || *code == 0x87;
}

static void on_fault(int signal_number, siginfo_t* info, void* context) {
  greg_t* const registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  const uintptr_t address = (uintptr_t)info->si_addr;
  if (!is_closed(address) || opened_pages == 8 || access_count == MOST_ACCESSES) {
    protect(PROT_READ | PROT_WRITE);
    signal(signal_number, SIG_DFL);
    return;
  }
  struct access* const one = &accesses[access_count++];
  *one = now;
  one->address = address;
  one->kind = (registers[REG_ERR] & 2) == 0 ? 'r' : is_atomic((const unsigned char*)registers[REG_RIP]) ? 'a' : 'w';
  opened[opened_pages++] = address & -(uintptr_t)PAGE;
  mprotect((void*)opened[opened_pages - 1], PAGE, PROT_READ | PROT_WRITE);
  registers[REG_EFL] |= TRAP;
}

static void on_step(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number;
  (void)info;
  while (opened_pages != 0) mprotect((void*)opened[--opened_pages], PAGE, PROT_NONE);
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_EFL] &= ~TRAP;
}

static void begin(const char* operation, size_t bytes, int thread) {
  now = (struct access){.operation = operation, .bytes = bytes, .thread = (char)thread};
  find_writable();
  protect(PROT_NONE);
}

static void end(void) { protect(PROT_READ | PROT_WRITE); }

static void allocate(const char* operation, size_t bytes, int n, int thread) {
  begin(operation, bytes, thread);
  for (now.call = 0; now.call < n; ++now.call) objects[thread][now.call] = malloc(bytes);
  end();
}

static void release(const char* operation, size_t bytes, int n, int thread, int owner) {
  begin(operation, bytes, thread);
  for (now.call = 0; now.call < n; ++now.call) free(objects[owner][now.call]);
  end();
}

enum { SIZES = 7 };
static const size_t sizes[SIZES] = {1, 32, 100, 1024, 4096, 65536, 524288};
static size_t slow_bytes;  // of objects whose slow paths are of interest; 0: none are
static int slow_objects;
static pthread_barrier_t all;

static void warm(size_t bytes, int n, int thread) {
  for (int i = 0; i < n; ++i) objects[thread][i] = malloc(bytes);
  for (int i = 0; i < n; ++i) free(objects[thread][i]);
}

// What a bin learns of such a rhythm, it knows afterwards: it keeps its array.
static void learn(int n, int thread) {
  for (size_t i = 0; i < SIZES; ++i)
    for (int round = 0; round < 8; ++round) warm(sizes[i], n, thread);
}

static void trace(const char* how_malloc, const char* how_free, int n, int thread) {
  for (size_t i = 0; i < SIZES; ++i) {
    warm(sizes[i], n, thread);
    allocate(how_malloc, sizes[i], n, thread);
    release(how_free, sizes[i], n, thread, thread);
  }
}

static void learn_one(int thread) { learn(1, thread); }
static void learn_row(int thread) { learn(ROW, thread); }
static void trace_row(int thread) { trace("malloc", "free", ROW, thread); }
// From one end of the bins to the other, and beyond.
static void learn_sweep(int thread) { learn(SWEEP, thread); }
static void trace_sweep(int thread) { trace("sweep malloc", "sweep free", SWEEP, thread); }

static void trace_slow(int thread) {
  if (slow_bytes == 0) return;
  warm(slow_bytes, slow_objects, thread);
  allocate("fill", slow_bytes, slow_objects, thread);
  release("drain", slow_bytes, slow_objects, thread, thread);
  for (int i = 0; i < slow_objects; ++i) objects[thread][i] = malloc(slow_bytes);
}

static void trace_remote(int thread) {
  if (slow_bytes == 0) return;
  release("take away", slow_bytes, slow_objects, thread, (thread + 1) % THREADS);
}

static void trace_merge(int thread) {
  if (slow_bytes == 0) return;
  allocate("merge", slow_bytes, slow_objects, thread);
}

// One thread at a time, while the others wait.
static void* work(void* argument) {
  static void (*const steps[])(int) = {learn_one,   learn_row,  trace_row,    learn_sweep,
                                       trace_sweep, trace_slow, trace_remote, trace_merge};
  const int thread = (int)(intptr_t)argument;
  const stack_t stack = {.ss_sp = signal_stacks[thread], .ss_size = STACK};
  sigaltstack(&stack, NULL);
  for (size_t step = 0; step < sizeof steps / sizeof *steps; ++step)
    for (int turn = 0; turn < THREADS; ++turn) {
      if (turn == thread) steps[step](thread);
      pthread_barrier_wait(&all);
    }
  return NULL;
}

// shared_lines [BYTES OBJECTS]: slow paths, too, of that many objects.
int main(int argc, char** argv) {
  library = object_of(dlsym(RTLD_DEFAULT, "malloc"));
  program = object_of((void*)main);
  const uintptr_t thread = (uintptr_t)__builtin_thread_pointer() & -(uintptr_t)PAGE;
  tls = (struct range){thread - PAGE, thread + 2 * PAGE};
  if (argc == 3) {
    slow_bytes = strtoul(argv[1], NULL, 10);
    slow_objects = atoi(argv[2]);
    if (slow_objects < 1 || slow_objects > OBJECTS) return 2;
    free(malloc(64 << 20));  // in a small heap bins come to hold them all
  }
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  action.sa_sigaction = on_step;
  sigaction(SIGTRAP, &action, NULL);
  pthread_barrier_init(&all, NULL, THREADS);
  for (intptr_t i = 1; i < THREADS; ++i) {
    pthread_t id;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stacks[i], STACK);
    if (pthread_create(&id, &attributes, work, (void*)i) != 0) fail("no thread\n");
  }
  work(NULL);
  printf("library %lx %lx\n", (unsigned long)library.first, (unsigned long)library.end);
  for (size_t i = 0; i < access_count; ++i)
    printf("%s %zu|%d|%d|%c|%lx\n", accesses[i].operation, accesses[i].bytes, accesses[i].thread, accesses[i].call,
           accesses[i].kind, (unsigned long)accesses[i].address);
  return on_us(malloc(1)) ? 3 : 0;
}

# static_link.sh: a static C program and a static C++ program link with the archive without a clash and run on it.
# A program that uses the whole family would pull in glibc's malloc.o, and collide, if one symbol were not ours.
cat >family.c <<'C'
#define _GNU_SOURCE
#include <buddymalloc/buddymalloc.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  char* p = malloc(100);
  p = reallocarray(realloc(p, 1000), 300, 10);
  memset(p, 1, 3000);
  void* aligned;
  if (posix_memalign(&aligned, 4096, 5000) || malloc_usable_size(p) < 3000) return 1;
  free(aligned);
  free(memalign(64, 100));
  free(aligned_alloc(64, 128));
  free(valloc(10));
  free(pvalloc(10));
  free(calloc(10, 10));
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  struct mallinfo2 info = mallinfo2();
  malloc_trim(0);
  puts(bm_owns(p) && info.uordblks + info.hblkhd >= 3000 ? "static C" : "not on buddymalloc");
  free(p);
  return 0;
}
C
cat >operators.cc <<'CC'
#include <buddymalloc/buddymalloc.h>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
struct alignas(128) Wide { char bytes[256]; };
int main() {
  std::map<std::string, std::unique_ptr<Wide>> wide;
  std::thread([&] { for (int i = 0; i < 1000; i++) wide[std::to_string(i)] = std::make_unique<Wide>(); }).join();
  for (auto& [name, object] : wide)
    if (!bm_owns(object.get()) || reinterpret_cast<std::uintptr_t>(object.get()) % 128) return 1;
  std::cout << "static C++\n";
}
CC
cc -O2 -I"$ROOT/include" -static -fno-builtin family.c "$ARCHIVE" -o family
g++ -O2 -std=c++20 -I"$ROOT/include" -static operators.cc "$ARCHIVE" -o operators
[[ $(./family) == 'static C' ]]
[[ $(./operators) == 'static C++' ]]
[[ $(BUDDYMALLOC_VERBOSE=1 ./family 2>&1 >/dev/null) == buddymalloc*'serving this process'* ]]
echo 'C and C++ programs'

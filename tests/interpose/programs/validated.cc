// validated.cc: a program for BUDDYMALLOC_VALIDATE: it allocates and frees; with an argument it then damages the page
// layer's metadata, found as a reader outside would find it, and goes on. Exit status 3: it came to its end, on buddymalloc.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "heap/state_root.h"
#include "on_us.h"

namespace {

void work() {
  for (unsigned i = 0; i < 3000; ++i) {
    void* const p = std::malloc(16 + i * 97 % 60'000);
    std::memset(p, 1, 16);
    std::free(p);
    void* const q = std::malloc(100);
    if (i % 3 != 0) std::free(q);
  }
}

void damage(const char* what) {
  const auto* const root = static_cast<const bm::heap::StateRoot*>(dlsym(RTLD_DEFAULT, "bm_state_root"));
  if (root == nullptr) std::_Exit(1);
  bm::pages::Pageblock& block = root->map->block({0});
  if (std::strcmp(what, "free") == 0) block.free_pages ^= 1;
  if (std::strcmp(what, "order") == 0) block.largest_order ^= 1;
  if (std::strcmp(what, "dirty") == 0) block.dirty.word[0] = 0;
}

}  // namespace

int main(int argc, char** argv) {
  work();
  std::thread(work).join();
  if (argc > 1) damage(argv[1]);
  work();
  return on_us(std::malloc(1)) ? 3 : 0;
}

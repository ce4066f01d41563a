/* other_layout.c: has a bm_state_root of a layout to come. */
#include <unistd.h>

const struct {
  char magic[16];
  unsigned layout, bytes;
  char library[16];
  char rest[4096];
} bm_state_root = {"bm_state_root", 4711, 1000, "77.8.9", ""};

int main(void) {
  char command;
  if (write(1, "ready\n--\n", 9) != 9) return 1;
  return read(0, &command, 1) == 1;
}

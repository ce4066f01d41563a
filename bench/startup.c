/* startup.c: the smallest real program: one line of output, hence one heap block, and out.  layer: bench
 * `tools/bench startup` measures its wall time from outside; the line printed is its own memory. */
#include "memory_usage.h"

#include <stdio.h>

int main(void) {
  long resident = memory_usage_kib("VmRSS:");
  long peak = memory_usage_kib("VmHWM:");
  printf("VmRSS %ld\nVmHWM %ld\n", resident, peak);
  return resident < 0 || peak < 0;
}

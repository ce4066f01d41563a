// micro.cc: the micro suite's main; its benchmarks live in micro_*.cc, one theme each.  layer: bench
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();

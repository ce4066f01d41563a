// loads.h: a program of several loads runs one, so that it is the process's first.  layer: bench
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>

// The one whose number is the only argument; else tells the usage and ends.
template <class Load, std::size_t N>
const Load& chosen_load(const Load (&loads)[N], int argc, char** argv) {
  const std::size_t which = argc == 2 ? std::strtoul(argv[1], nullptr, 10) : N;
  if (which < N) return loads[which];
  std::fprintf(stderr, "usage: %s 0..%zu\n", argv[0], N - 1);
  std::exit(2);
}

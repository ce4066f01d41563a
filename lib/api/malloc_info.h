// malloc_info.h: what glibc lets a program ask and tell malloc as a whole.  layer: api
// Apart from malloc_api.h because it needs libc's structures and stdio, which the malloc path never does.
// Correspondence with glibc's words: arena = committed, uordblks = live without direct mappings,
// hblk* = those, fordblks = free, keepcost = free and probably resident.
#pragma once

#include <malloc.h>

#include <cstddef>
#include <cstdio>

namespace bm::api {

struct mallinfo2 read_mallinfo2();

// The old structure has int fields; a value that does not fit is given as INT_MAX, since a wrapped one misleads.
struct mallinfo read_mallinfo();

// 1 for a parameter glibc knows with a value it allows, else 0. glibc's tuning has no meaning here: nothing changes.
int mallopt(int parameter, int value);

// XML in glibc's format to the stream, with an element <buddy> for each zone before the end. Returns 0; EINVAL when
// options is not 0; the stream's errno when writing fails.
int malloc_info(int options, std::FILE* stream);

// The lines of glibc's report, after them the buddy system's free blocks and the coverage by hugepages, to stderr.
void malloc_stats();

// 1 when memory went back to the system, else 0.
int malloc_trim(std::size_t keep_bytes);

}  // namespace bm::api

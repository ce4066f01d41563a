// pageblock.h: the descriptor of one 2 MiB pageblock, kept outside the pages it describes.  layer: pages
// Writers hold Zone::lock_. The maps are the truth; everything else about free memory is derived from them.
// [PB-1] free_pages == free.count()
// [PB-2] largest_order == free.largest_order()
// [PB-3] a page that is not dirty reads as zero and has no memory behind it; a page that is handed out is dirty
// [PB-4] a hidden block (isolated, or of type Isolate) is in no free set; otherwise FA-1 holds
// [PB-5] an opened block's zone is that of its section
// [PB-6] not more than most_in_row pages in a row are free
#pragma once

#include <cstdint>

#include "pages/migratetype.h"
#include "pages/page_bitmap.h"

namespace bm::pages {

// To the kernel, pageblocks that memory has been moved to together are a mapping of their own until they are purged.
enum class Moved : std::uint8_t { kNo, kYes, kFirst };

struct Pageblock {
  PageBitmap free;   // line 0: bit = page is free
  PageBitmap dirty;  // line 1: bit = page was handed out since it was last known to be zero
  // line 2
  Migratetype migratetype;
  Migratetype type_before;    // of a block of type Isolate: what it goes back to
  std::int8_t largest_order;  // of a free block in here; -1: none
  bool opened;                // the frontier has passed it: it takes part in allocation
  bool isolated;              // taken out of the sets for the moment of a purge, or of compaction, whatever its type
  std::uint8_t zone;          // the number of the zone it belongs to, once opened
  bool purged;                // memory behind it has gone back before
  bool outgrown;              // as what a run that had grown left behind
  Moved moved;                // whether the memory behind it is another pageblock's of before
  std::uint16_t free_pages;
  std::uint32_t run_pages;  // length of the run that starts with this block's first page, when longer than a block
  // The fork generation in which the OS said that one hugepage backs this block; 0: not since it was last purged.
  std::uint32_t huge_in;
  std::uint16_t most_in_row;  // what searches for a hole have found out since pages were last freed here
  std::uint64_t padding[5];
  // Written by the owner of the page, read by whoever frees into it: the slab, or the handle, of what starts at the page.
  std::uint32_t slab_index[kPagesPerBlock];

  PageBitmap backed_free() const {
    PageBitmap both;
    for (std::size_t i = 0; i < PageBitmap::kWords; ++i) both.word[i] = free.word[i] & dirty.word[i];
    return both;
  }
  std::size_t free_pages_guess() const { return __atomic_load_n(&free_pages, __ATOMIC_RELAXED); }  // without the lock
  bool whole_free() const { return free_pages == kPagesPerBlock; }
  bool hidden() const { return isolated || migratetype == Migratetype::kIsolate; }
  Migratetype reported_type() const { return hidden() ? Migratetype::kIsolate : migratetype; }
};
static_assert(sizeof(Pageblock) == 3 * kCacheLine + align_up(sizeof(Pageblock::slab_index), kCacheLine));

}  // namespace bm::pages

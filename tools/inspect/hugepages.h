// hugepages.h: what the kernel really has behind another process's pageblocks.  tool: inspect
// The pageblocks are copied first and the kernel is asked then, each block at a moment of its own. Where it does not tell of
// hugepages block by block (before Linux 6.7), smaps tells how much of the whole is on them.
#pragma once

#include <functional>
#include <string>

#include "pages/hugepage_report.h"
#include "pages/pageblock.h"
#include "tools/inspect/heap_state.h"

namespace bm::inspect {

struct BlockLine {
  BlockIndex index;
  std::uint64_t address;
  pages::Migratetype type;
  pages::Asked asked;
  pages::BlockPages pages;
  os::Huge huge;
};

// `folder` is the process's in /proc. Calls each(BlockLine) for the opened pageblocks. Throws Failure when it has ended, or the
// kernel does not tell.
pages::HugepageReport look_at_hugepages(const HeapState& state, const std::string& folder,
                                        const std::function<void(const BlockLine&)>& each);

// The line of totals, after a line for each pageblock where that is wished for.
void print_hugepages(TextSink& out, const HeapState& state, bool each_block);

}  // namespace bm::inspect

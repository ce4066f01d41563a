// free_area.cc: the one place that edits the free sets.  layer: pages
#include "pages/free_area.h"

#include <bit>
#include <cassert>

namespace bm::pages {

bool FreeArea::ensure(std::size_t blocks) {
  const std::size_t rows = groups_for(blocks);
  if (rows > kTopWords * 64 * 64 || !groups_->ensure_count(rows)) return false;
  if (rows > rows_in_use_) rows_in_use_ = rows;
  return true;
}

void FreeArea::insert(unsigned set, BlockIndex b) {
  const std::size_t row = b.value / 64;
  assert(!contains(set, b));
  row_at(row).word[set] |= std::uint64_t{1} << (b.value % 64);
  summary_[row / 64].word[set] |= std::uint64_t{1} << (row % 64);
  top_at(row / 4096).word[set] |= std::uint64_t{1} << (row / 64 % 64);
}

void FreeArea::remove(unsigned set, BlockIndex b) {
  const std::size_t row = b.value / 64;
  assert(contains(set, b));
  if ((row_at(row).word[set] &= ~(std::uint64_t{1} << (b.value % 64))) != 0) return;
  if ((summary_[row / 64].word[set] &= ~(std::uint64_t{1} << (row % 64))) != 0) return;
  top_at(row / 4096).word[set] &= ~(std::uint64_t{1} << (row / 64 % 64));
}

bool FreeArea::contains(unsigned set, BlockIndex b) const {
  return (row_at(b.value / 64).word[set] >> (b.value % 64) & 1) != 0;
}

bool FreeArea::first(unsigned set, BlockIndex from, BlockIndex& out) const {
  std::size_t row = from.value / 64;
  if (row >= rows_in_use_) return false;
  // The summary first: other zones' words are not ours to read.
  const bool listed = (summary_[row / 64].word[set] >> (row % 64) & 1) != 0;
  std::uint64_t w = listed ? row_at(row).word[set] & (~std::uint64_t{0} << (from.value % 64)) : 0;
  if (w == 0) {
    // climb to the first summary with a bit beyond, then descend
    std::size_t mid = row / 64;
    std::uint64_t s = row % 64 == 63 ? 0 : summary_[mid].word[set] & (~std::uint64_t{0} << (row % 64 + 1));
    if (s == 0) {
      std::size_t high = mid / 64;
      std::uint64_t t = mid % 64 == 63 ? 0 : top_at(high).word[set] & (~std::uint64_t{0} << (mid % 64 + 1));
      while (t == 0) {
        if (++high >= kTopWords) return false;
        t = top_at(high).word[set];
      }
      mid = high * 64 + lowest_bit(t);
      s = summary_[mid].word[set];
    }
    row = mid * 64 + lowest_bit(s);
    w = row_at(row).word[set];
  }
  out = {static_cast<std::uint32_t>(row * 64 + lowest_bit(w))};
  return true;
}

bool FreeArea::last(unsigned set, BlockIndex& out) const {
  for (std::size_t high = kTopWords; high-- != 0;) {
    if (top_at(high).word[set] == 0) continue;
    const std::size_t mid = high * 64 + highest_bit(top_at(high).word[set]);
    const std::size_t row = mid * 64 + highest_bit(summary_[mid].word[set]);
    out = {static_cast<std::uint32_t>(row * 64 + highest_bit(row_at(row).word[set]))};
    return true;
  }
  return false;
}

bool FreeArea::first_run(unsigned set, std::size_t count, BlockIndex& out) const {
  BlockIndex at{};
  while (first(set, at, at)) {
    std::size_t n = 1;
    BlockIndex next = at + 1;
    while (n < count && next.value / 64 < rows_in_use_ && contains(set, next)) {
      ++n;
      next = next + 1;
    }
    if (n == count) {
      out = at;
      return true;
    }
    at = next;
  }
  return false;
}

unsigned FreeArea::orders_present(Migratetype t) const {
  unsigned present = 0;
  for (unsigned o = 0; o < kOrders; ++o) {
    std::uint64_t seen = 0;
    const std::size_t tops = (rows_in_use_ + 4095) / 4096;
    for (std::size_t i = 0; i < tops; ++i) seen |= top_at(i).word[set_of(t, o)];
    if (seen != 0) present |= 1U << o;
  }
  return present;
}

void FreeArea::clear_words(BlockIndex first, std::size_t count) {
  for (std::size_t i = first.value / 64; i < groups_for(first.value + count); ++i) row_at(i) = {};
}

void FreeArea::clear_summaries() {
  for (std::size_t i = 0; i < groups_for(rows_in_use_); ++i) summary_[i] = {};
  for (auto& t : top_) t = {};
}

bool FreeArea::words_consistent(BlockIndex first, std::size_t count) const {
  for (unsigned set = 0; set < kSets; ++set)
    for (std::size_t i = first.value / 64; i < groups_for(first.value + count); ++i)
      if ((row_at(i).word[set] != 0) != ((summary_[i / 64].word[set] >> (i % 64) & 1) != 0)) return false;
  return true;
}

bool FreeArea::summaries_consistent() const {
  for (unsigned set = 0; set < kSets; ++set)
    for (std::size_t i = 0; i < groups_for(rows_in_use_); ++i)
      if ((summary_[i].word[set] != 0) != ((top_at(i / 64).word[set] >> (i % 64) & 1) != 0)) return false;
  return true;
}

}  // namespace bm::pages

// fuzz_pages.cc: bytes are a sequence of zone operations and refusals by the OS; no page may get two owners, be lost, be called
// zero without being it, or change type behind its user's back, and all invariants hold after every operation.
// With clang and -Dfuzz=true a libFuzzer target; otherwise see fuzz_main.h. Also built with the pageblock order of pages_tiny.
#include <algorithm>
#include <optional>

#include "pages/zone.h"
#include "support/arena_vm.h"
#include "support/fuzz_main.h"

using namespace bm;
using namespace bm::pages;
using namespace bm::test;

namespace {

constexpr std::size_t kMostBlocks = 64;  // of page space, gaps included
constexpr std::size_t kRuns = 24;        // that are remembered at a time

struct Shape {
  explicit Shape(Input& in) {
    const std::uint8_t a = in.byte(), b = in.byte(), c = in.byte();
    sections = 1 + a % 3;
    keeps_reserve = (a & 4) != 0;
    config.first_section_bytes = (1 + std::size_t{b} % 12) << kPageblockShift;
    config.capacity_bytes = kMostBlocks << kPageblockShift;
    config.small_page_bytes = (b & 128) != 0 ? config.capacity_bytes : std::size_t{b} % 3 << kPageblockShift;
    config.space_left = SIZE_MAX;
    const std::size_t low = c % 16;
    marks = {low << kPageblockOrder, (low + c / 16) << kPageblockOrder};
  }
  unsigned sections;
  bool keeps_reserve;
  AddressSpaceConfig config;
  Watermarks marks{};
};

class Session {
 public:
  explicit Session(const Shape& shape) : most_reserves_(shape.sections + 1) {
    BM_FUZZ_REQUIRE(space_.init(ArenaVm::table, shape.config, map_, area_, 0, extra_));
    zone_.init(ArenaVm::table, map_, space_, area_);
    zone_.watermarks = shape.marks;
    zone_.keeps_reserve = shape.keeps_reserve;
  }

  void operate(Input& in) {
    ArenaVm::refuse(ArenaVm::kReserve, ArenaVm::reserves() >= most_reserves_);
    const std::uint8_t op = in.byte();
    Live& run = live_[in.byte() % std::size(live_)];
    switch (op % 16) {
      case 0:
      case 1:
      case 2: return alloc(run, size(in), in.byte());
      case 3: return alloc(run, size(in), in.byte(), static_cast<unsigned>(in.byte() % (kPageblockOrder + 4)));
      case 4:
      case 5: return free_part(run, in.byte(), in.byte());
      case 6: return free_part(run, 0, 255);
      case 7: return batch(in);
      case 8: return extend(run, size(in));
      case 9: return isolate(in.byte(), 1 + in.byte() % 4U);
      case 10: return unisolate(in.byte(), 1 + in.byte() % 4U);
      case 11: return make_cma(1 + in.byte() % 5U);
      case 12: return release_cma(in.byte());
      case 13: return take(run, in.byte(), in.byte(), size(in));
      case 14: return purge(std::size_t{in.byte()} << (kPageblockOrder / 2), (op & 16) != 0);
      default:
        if ((op & 16) != 0) return ArenaVm::fail(1 + in.byte() % 8U, in.byte() % 8U);
        if ((op & 32) != 0) return zone_.recover();
        if ((op & 128) != 0) return zone_.note_turnover(std::size_t{in.byte()} << (kPageblockOrder / 2));
        zone_.keeps_reserve = (op & 64) != 0;
    }
  }

  void check() {
    BM_FUZZ_REQUIRE(zone_.validate(2) == 0);
    std::size_t owned = 0;
    for (const Live& run : live_)
      for_parts(run.first, run.pages, [&](BlockIndex b, std::size_t at, std::size_t n) {
        BM_FUZZ_REQUIRE(!map_.block(b).free.any(at, n));
        owned += n;
      });
    const Zone::Counters c = zone_.counters();
    BM_FUZZ_REQUIRE(c.opened_pages - c.free_pages == owned);
    BM_FUZZ_REQUIRE(c.opened_pages <= c.committed_pages && c.committed_pages <= c.reserved_pages);
    for_each_opened([&](BlockIndex b, const Pageblock& d) {
      const Told& t = told_[b.value];
      BM_FUZZ_REQUIRE((d.migratetype == Migratetype::kIsolate) == t.isolated);
      const Migratetype type = t.isolated ? d.type_before : d.migratetype;
      BM_FUZZ_REQUIRE((type == Migratetype::kCma) == t.cma);
    });
  }

  // What is not dirty reads as zero; the reserve has memory.
  void check_memory() {
    for_each_opened([&](BlockIndex b, const Pageblock& d) {
      for (std::size_t i = 0; i < kPagesPerBlock; ++i) {
        const void* const at = map_.address(first_pfn(b) + i);
        if (!d.dirty.any(i, 1)) BM_FUZZ_REQUIRE(ArenaVm::reads_zero(at, 1));
        if (d.migratetype == Migratetype::kHighAtomic && d.dirty.any(i, 1)) BM_FUZZ_REQUIRE(ArenaVm::has_memory(at, 1));
      }
    });
  }

  // Everything goes back, and is then there as a whole.
  void end() {
    ArenaVm::fail(0);
    for (Live& run : live_) free_part(run, 0, 255);
    for (std::uint32_t b = 0; b < kMostBlocks; ++b) unisolate(b, 1);
    for (unsigned k = 0; k < std::size(ranges_); ++k) release_cma(k);
    check();
    zone_.purge(0, true);
    check();
    check_memory();
    const Zone::Counters c = zone_.counters();
    BM_FUZZ_REQUIRE(c.free_pages == c.opened_pages && c.backed_free_pages == c.reserved_highatomic);
    for (const Told& t : told_) BM_FUZZ_REQUIRE(!t.isolated && !t.cma);
  }

 private:
  struct Live {
    Pfn first;
    std::size_t pages = 0;
  };
  struct Told {  // what the zone was told about a pageblock
    bool isolated = false, cma = false;
  };
  struct Range {
    BlockIndex first;
    std::size_t blocks = 0;
  };

  static std::size_t size(Input& in) {
    const unsigned shift = in.byte() % (kPageblockOrder + 3);
    return (std::size_t{1} << shift) + ((std::size_t{in.byte()} << shift) >> 8);
  }
  template <class F>
  static void for_parts(Pfn first, std::size_t pages, F f) {
    while (pages != 0) {
      const std::size_t here = std::min(pages, kPagesPerBlock - first.offset());
      f(first.block(), first.offset(), here);
      first = first + here;
      pages -= here;
    }
  }
  template <class F>
  void for_each_opened(F f) {
    for (unsigned i = 0; i < map_.section_count(); ++i)
      for (std::uint32_t k = 0; k < map_.section(i).opened; ++k)
        f(map_.section(i).first + k, map_.block(map_.section(i).first + k));
  }
  bool owned(Pfn first, std::size_t pages) const {
    return std::any_of(std::begin(live_), std::end(live_), [&](const Live& l) {
      return l.pages != 0 && l.first.value < first.value + pages && first.value < l.first.value + l.pages;
    });
  }

  enum class Taking { kAllocated, kExtended, kChosen };
  // Checks what the zone gave; then it belongs to the run.
  void own(Live& run, const Run& got, Taking how, bool relocatable = false) {
    BM_FUZZ_REQUIRE(!owned(got.first, got.pages));
    for_parts(got.first, got.pages, [&](BlockIndex b, std::size_t at, std::size_t n) {
      const Pageblock& d = map_.block(b);
      BM_FUZZ_REQUIRE(d.opened && !d.free.any(at, n) && d.dirty.count(at, n) == n);
      const Told& t = told_[b.value];
      if (how == Taking::kChosen) BM_FUZZ_REQUIRE(t.isolated || t.cma);
      if (how != Taking::kChosen) BM_FUZZ_REQUIRE(!t.isolated && (relocatable || !t.cma));
      void* const start = map_.address(first_pfn(b) + at);
      if (got.zeroed) BM_FUZZ_REQUIRE(ArenaVm::reads_zero(start, n));
      if (d.migratetype == Migratetype::kHighAtomic) BM_FUZZ_REQUIRE(ArenaVm::has_memory(start, n));
      ArenaVm::write(start, n);
    });
    if (how == Taking::kExtended) return;
    run = {got.first, got.pages};
  }

  // What the flags say: type, placement and kind of request.
  void alloc(Live& run, std::size_t pages, std::uint8_t flags, unsigned align_order = 0) {
    free_part(run, 0, 255);
    const auto request = static_cast<Request>(flags / 4 % 4 % 3);
    const Placement placement = flags >= 200   ? Placement::kGrowing
                                : flags >= 100 ? Placement::kSnug
                                               : Placement::kPacked;
    Run got;
    if (!zone_.alloc(pages, static_cast<Migratetype>(flags % kPcpTypes), got, align_order, placement, request)) return;
    BM_FUZZ_REQUIRE(got.pages == pages);
    const unsigned natural = placement == Placement::kPacked ? std::min(ceil_order(pages), kPageblockOrder) : 0;
    const unsigned order = std::max(natural, align_order);
    BM_FUZZ_REQUIRE(reinterpret_cast<std::uintptr_t>(map_.address(got.first)) % (kPageSize << order) == 0);
    own(run, got, Taking::kAllocated, request == Request::kRelocatable);
  }

  void batch(Input& in) {
    const std::size_t pages = 1 + in.byte() % std::min<std::size_t>(kPagesPerBlock, 40);
    const std::size_t count = 1 + in.byte() % kRuns;
    Run got[kRuns];
    const auto type = static_cast<Migratetype>(in.byte() % kPcpTypes);
    const std::size_t n = zone_.alloc_batch(pages, type, count, got);
    BM_FUZZ_REQUIRE(n <= count);
    Pfn back[kRuns];
    std::size_t none = 0;
    for (std::size_t i = 0; i < n; ++i) {
      Live* const slot = std::find_if(std::begin(live_), std::end(live_), [](const Live& l) { return l.pages == 0; });
      if (slot != std::end(live_))
        own(*slot, got[i], Taking::kAllocated);
      else
        back[none++] = got[i].first;
    }
    zone_.free_batch(pages, back, none);
  }

  void free_part(Live& run, std::uint8_t from, std::uint8_t upto) {
    const std::size_t first = run.pages * std::min(from, upto) / 256;
    const std::size_t end = (run.pages * std::max(from, upto) + 254) / 255;
    if (first == end) return;
    const Live whole = run;
    Live* rest = nullptr;
    if (first != 0 && end != whole.pages) {  // the hole leaves two runs: there must be room to remember both
      rest = std::find_if(std::begin(live_), std::end(live_), [](const Live& l) { return l.pages == 0; });
      if (rest == std::end(live_)) return;
      *rest = {whole.first + end, whole.pages - end};
    }
    zone_.free(whole.first + first, end - first);
    run = first != 0 ? Live{whole.first, first} : Live{whole.first + end, whole.pages - end};
  }

  void extend(Live& run, std::size_t more) {
    if (run.pages == 0) return;
    const Told& t = told_[(run.first + (run.pages - 1)).block().value];
    const bool lent = t.cma;
    if (!zone_.extend(run.first, run.pages, run.pages + more)) return;
    own(run, {run.first + run.pages, more, false}, Taking::kExtended, lent);
    run.pages += more;
  }

  void isolate(std::uint32_t b, std::size_t count) {
    b %= kMostBlocks;
    if (zone_.isolate({b}, count))
      for (std::size_t k = 0; k < count; ++k) told_[b + k].isolated = true;
  }
  void unisolate(std::uint32_t b, std::size_t count) {
    b %= kMostBlocks;
    zone_.unisolate({b}, count);
    for (std::size_t k = 0; k < count; ++k) told_[b + k].isolated = false;
  }
  void make_cma(std::size_t blocks) {
    Range* const range =
        std::find_if(std::begin(ranges_), std::end(ranges_), [](const Range& r) { return r.blocks == 0; });
    BlockIndex first;
    if (range == std::end(ranges_) || !zone_.make_cma(blocks, first)) return;
    BM_FUZZ_REQUIRE(reinterpret_cast<std::uintptr_t>(map_.address(first_pfn(first))) % (2 * kPageblockSize) == 0);
    BM_FUZZ_REQUIRE(!owned(first_pfn(first), blocks << kPageblockOrder));
    *range = {first, blocks};
    for (std::size_t k = 0; k < blocks; ++k) told_[first.value + k].cma = true;
  }
  void release_cma(unsigned k) {
    Range& range = ranges_[k % std::size(ranges_)];
    if (range.blocks == 0 || !zone_.release_cma(range.first, range.blocks)) return;
    for (std::size_t i = 0; i < range.blocks; ++i) told_[range.first.value + i].cma = false;
    range = {};
  }
  void take(Live& run, std::uint8_t block, std::uint8_t offset, std::size_t pages) {
    free_part(run, 0, 255);
    const Pfn first = first_pfn({block % static_cast<std::uint32_t>(kMostBlocks)}) + offset % kPagesPerBlock;
    for (std::size_t b = first.block().value; b <= (first + (pages - 1)).block().value; ++b)
      if (b >= kMostBlocks || !opened(b)) return;
    Run got;
    if (!zone_.take(first, pages, got)) return;
    BM_FUZZ_REQUIRE(got.first == first && got.pages == pages);
    own(run, got, Taking::kChosen);
  }
  bool opened(std::size_t b) const { return map_.block({static_cast<std::uint32_t>(b)}).opened; }

  void purge(std::size_t keep, bool holes) {
    const Zone::Counters before = zone_.counters();
    const std::size_t refusals = ArenaVm::refusals();
    const std::size_t purged = zone_.purge(keep, holes);
    const Zone::Counters after = zone_.counters();
    BM_FUZZ_REQUIRE(before.backed_free_pages - after.backed_free_pages == purged);
    BM_FUZZ_REQUIRE(after.purged_pages - before.purged_pages == purged);
    if (ArenaVm::refusals() != refusals || after.backed_free_pages <= keep) return;
    for_each_opened([&](BlockIndex, const Pageblock& d) {  // more was asked for than could be given
      if (!d.hidden() && d.whole_free() && d.migratetype != Migratetype::kHighAtomic)
        BM_FUZZ_REQUIRE(!d.dirty.any(0, kPagesPerBlock));
    });
  }

  MemMap map_;
  FreeArea area_;
  AddressSpace space_;
  Zone zone_;
  char* extra_ = nullptr;
  std::size_t most_reserves_;
  Live live_[kRuns];
  Told told_[kMostBlocks + 8];
  Range ranges_[4];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  ArenaVm::reset();
  const Shape shape(in);
  static std::optional<Session> session;  // large, and always in the same place
  session.emplace(shape);
  for (int k = 1; !in.empty(); ++k) {
    session->operate(in);
    session->check();
    if (k % 16 == 0) session->check_memory();
  }
  session->end();
  return 0;
}

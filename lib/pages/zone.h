// zone.h: one buddy system: pages of an address space, handed out in runs and taken back.  layer: pages
// Thread-safe: every public function takes lock_ itself. The maps in Pageblock are the truth; free area, counters and
// watermark state are derived, and recover() rebuilds them in a fork's child, whatever instruction the lock holder was at.
// [ZN-1] free_pages_ is the sum of Pageblock::free_pages over opened blocks
// [ZN-2] backed_free_ is the number of pages that are free and dirty, isolated blocks included
// [ZN-3] intent_.pages() != 0 only while lock_ is held: that run is in transition and counts as free
// [ZN-6] reserve_ is the one pageblock of type HighAtomic, while has_reserve_; its first reserve_backed_ pages are dirty
// [ZN-7] changes_ is odd only while lock_ is held by someone who may change something
// [ZN-8] under a limit charged_ is the number of pages in use and of those that are free and backed, but within a Hold
// [ZN-9] moved_ is the number of ranges of pageblocks that the kernel has as mappings of their own
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "base/units.h"
#include "os/lock.h"
#include "pages/address_space.h"
#include "pages/budget.h"
#include "pages/free_area.h"
#include "pages/mem_map.h"
#include "pages/migratetype.h"
#include "pages/watermark.h"

namespace bm::pages {

struct ZoneReport;

// A pageblock as compaction and reports see it.
struct BlockView {
  PageBitmap free;
  PageBitmap dirty;
  std::size_t free_pages;
  Migratetype type;  // Isolate: also for the moment of a purge
};

struct Run {
  Pfn first;
  std::size_t pages = 0;
  bool zeroed = false;  // known to read as zero
};

enum class Request : unsigned char {
  kNormal,
  kCritical,     // for what must succeed when the OS refuses memory: the reserve first, then what is backed, then any
  kRelocatable,  // the caller can move it or drop it at any time: may be lent a contiguous range
};

// How often a type had to live in another's pageblocks, by [from][to].
struct Mixing {
  std::size_t claimed[kPcpTypes][kPcpTypes] = {};  // whole pageblocks that changed type while partly used
  std::size_t stolen[kPcpTypes][kPcpTypes] = {};   // requests served from another type's pageblock

  Mixing& operator+=(const Mixing& other) {
    for (unsigned from = 0; from < kPcpTypes; ++from)
      for (unsigned to = 0; to < kPcpTypes; ++to) {
        claimed[from][to] += other.claimed[from][to];
        stolen[from][to] += other.stolen[from][to];
      }
    return *this;
  }

  static std::size_t sum(const std::size_t (&counts)[kPcpTypes][kPcpTypes]) {
    std::size_t n = 0;
    for (const auto& row : counts)
      for (const std::size_t c : row) n += c;
    return n;
  }
};

enum class Placement : unsigned char {
  kPacked,  // smallest sufficient free block, then lowest address
  // The two below are aligned to a page, look at whatever free pages lie in a row, at most two pageblocks', if these are partly
  // used and of the type, and find the fullest pageblocks first. With an alignment asked for, as kPacked.
  kSnug,  // the first that are enough; else packed, but from where the free pages begin that the block found is part of
  kGrowing,  // for a run that has been seen to grow: where it can double, or grow by an eighth, or just fits; else where
             // whole-free pageblocks have room for it to double, and if it fills one, for what else grows before it.
             // From a quarter of a pageblock to less than one: where it can double, else among whole-free pageblocks
             // that are backed for that, eight in a row if there are, before it grows by an eighth
};

class Zone {
 public:
  void init(const os::Vm& vm, MemMap& map, AddressSpace& space, FreeArea& area);

  // A run of `pages` >= 1 pages. Its first page is aligned to the next power of two of `pages`, where it is packed, and to
  // align_order, both capped at a pageblock; align_order may exceed that (whole blocks). Exact: what is left of the buddy
  // block stays free. type: one of the pcp types. A request that is refused may have taken back most of the reserve first.
  bool alloc(std::size_t pages, Migratetype type, Run& out, unsigned align_order = 0,
             Placement placement = Placement::kPacked, Request request = Request::kNormal);
  // Up to `count` runs of `pages` <= kPagesPerBlock pages under one hold of the lock, from one pageblock as far as it
  // lasts; returns how many were written to `out`. Snug, where their length is no power of two.
  std::size_t alloc_batch(std::size_t pages, Migratetype type, std::size_t count, Run* out);

  // Takes back any part of what alloc gave. A page that is free already is a caller's bug: fatal.
  void free(Pfn first, std::size_t pages);
  void free_batch(std::size_t pages, const Pfn* first, std::size_t count);  // runs of the same length

  // Makes the run [first, first + old_pages) longer in place; false: the pages behind it are not to be had.
  bool extend(Pfn first, std::size_t old_pages, std::size_t new_pages);

  // Gives the memory and contents of `blocks` whole pageblocks to as many others, all of them in use by the caller. False: nothing
  // moved, and what the others held may be lost. What was moved away from goes back by free_moved().
  bool move(BlockIndex from, BlockIndex to, std::size_t blocks);
  void free_moved(BlockIndex first, std::size_t blocks);
  // free() of what a run that has grown leaves behind: it fits none that grows as that did, so that on small pages its memory goes
  // back at once, until much of what went so is wanted again.
  void free_outgrown(Pfn first, std::size_t pages);

  // The layer above has handed out that many pages once more without asking here: as if they had been freed and taken.
  void note_turnover(std::size_t pages);

  // Returns free memory to the OS until at most `keep_pages` backed-free pages remain: whole blocks first, then, when
  // `holes` is set, free pages of blocks on 4 KiB pages. Ends what was earned so far. Returns pages given back.
  std::size_t purge(std::size_t keep_pages, bool holes);
  // Backed free pages of a partly used pageblock that nobody has set apart, and that can go back.
  std::size_t holes_of(BlockIndex b);
  // Returns them to the OS, and small pages instead of the hugepage behind the block: what the layer above then purges of
  // what it has in use there goes back, too. Returns pages given back.
  std::size_t purge_holes_of(BlockIndex b);
  // What the reserve has beyond what the pages in use now ask for goes back, down to the highest page of it that is in use.
  void shrink_reserve();
  // Entries of whole-free pageblocks that have no memory behind them need none either.
  void purge_entries();
  // Pageblocks are out of the free sets while somebody purges, empties or collapses them: what they hold may be back soon.
  bool hides_blocks() {
    os::LockGuard hold(lock_);
    return isolated_ != 0;
  }

  // Takes `count` pageblocks out of allocation, whatever is in use in them; pages freed there stay out. False: one of
  // them is not opened, hidden already, or reserved, and nothing changed.
  bool isolate(BlockIndex first, std::size_t count);
  // Takes back isolate().
  void unisolate(BlockIndex first, std::size_t count);

  // A contiguous range of `blocks` whole pageblocks, aligned to the largest order: from now on lent only to relocatable
  // requests, until take() claims it or release_cma() ends it. False: no such range.
  bool make_cma(std::size_t blocks, BlockIndex& first);
  // False: something is in use in it.
  bool release_cma(BlockIndex first, std::size_t blocks);
  // Hands out just this range, isolated or of a contiguous range; false: not all of it is free.
  bool take(Pfn first, std::size_t pages, Run& out);
  // Hands out the lowest free range of that many pages inside a contiguous range; its address is a multiple of `alignment`
  // bytes, a power of two of at least a page. False: there is none.
  bool take_within(BlockIndex first, std::size_t blocks, std::size_t pages, std::size_t alignment, Run& out);

  // Compaction (zone_compact.cc), and reports. A moment's view of a pageblock; false: not opened.
  bool look(BlockIndex b, BlockView& out);
  // Takes a pageblock out of the free sets while it is emptied, whatever is in use in it; a fork's recover() ends that, as
  // does put_back(). False: not opened, hidden already, or reserved.
  bool set_aside(BlockIndex b);
  // True: it is whole-free now; it follows the watermarks.
  bool put_back(BlockIndex b);
  // A run of up to a pageblock's pages in just this pageblock of type Movable, which must be partly used. False: no room.
  bool alloc_in(BlockIndex b, std::size_t pages, Run& out);
  // Asks the OS for one hugepage behind each dense pageblock of [first, first + count), of which all are opened, that is
  // not known to have one; `generation` is the process's, from 1 on, as a child of a fork has lost them. Returns how many
  // it granted, or had there already.
  std::size_t collapse(BlockIndex first, std::size_t count, std::uint32_t generation);
  // Passes time: what was earned and boosted fades, and what it kept goes back. Where a thread does it, what has lain idle
  // for a moment goes back. For slow paths while attention() says so, at most a few times a second, and for that thread.
  void age(std::uint64_t now_ms);
  // Whether somebody else calls age() several times a second, so that frees need not purge.
  void defer(bool to_a_thread);
  bool defers() const { return defers_; }
  // What the layer above should look after: without the lock, a hint. Pollution is told once.
  static constexpr std::uint8_t kSlack = 1, kPolluted = 2;
  std::uint8_t attention() const { return attention_.load(std::memory_order_relaxed); }
  void attended(std::uint8_t what) { attention_.fetch_and(static_cast<std::uint8_t>(~what)); }
  // The marks as they are at present: plain values, for who holds lock_ and for a reader of a copy.
  Watermarks marks() const;

  // Only in a fork's child, before any other use.
  void recover();
  // Tells the budget all that the zone holds: after Budget::restart(), and when a limit has been set.
  void recharge() {
    const Hold hold(*this);
    charged_ = 0;
  }
  bool interrupted() const { return lock_.held() || isolated_ != 0; }

  struct Counters {
    std::size_t free_pages = 0;         // in opened blocks
    std::size_t backed_free_pages = 0;  // of these: probably resident
    std::size_t opened_pages = 0;
    std::size_t committed_pages = 0;
    std::size_t reserved_pages = 0;
    std::size_t purged_pages = 0;         // since the start
    std::size_t reserved_highatomic = 0;  // backed pages of the reserve
    Mixing mixing;

    Counters& operator+=(const Counters& other);
  };
  Counters counters();
  // Adds free blocks by (migratetype, order 0..10) to counts, under one hold of the lock: the sums are exact.
  void count_free(std::size_t counts[kMigratetypes][kReportOrders]);

  // Adds all there is to tell of this zone to a fresh report, under one hold of the lock (zone_report.h).
  void report(ZoneReport& out);
  // Even: the maps are at rest. A reader outside, who cannot take the lock, has a consistent copy when it finds the same
  // even number before and after. Odd throughout every hold that may change something.
  std::uint32_t changes() const { return changes_.load(std::memory_order_acquire); }
  std::size_t reserved_highatomic() const { return reserve_backed_; }  // pages; lock_ held, or in such a copy
  bool on_small_pages(BlockIndex b) const { return space_->on_small_pages(b); }
  std::size_t free_pages_guess(BlockIndex b) const { return map_->block(b).free_pages_guess(); }
  unsigned number() const { return number_; }  // among the zones of the map: Section::zone, Pageblock::zone
  // Pages that could be handed out, free or not opened yet; no limit while address space may be added. Without the lock: a
  // guess.
  std::size_t available_pages() const;
  std::size_t present_pages() const { return space_->opened_blocks() << kPageblockOrder; }  // a guess, too

  // Number of broken invariants; each is described on `fd` when fd >= 0.
  int validate(int fd);

  Watermarks watermarks{};     // limits of low and high, kDefaultWatermarks from init() on
  Budget* budget = nullptr;    // shared by all zones; null: no limit can be set
  bool keeps_reserve = false;  // of backed pages for critical requests (zone_reserve.cc), from the second pageblock on

 private:
  // What a transition is about to change, whole at every instruction: a fork's child must never see half of it.
  class Intent {
   public:
    void declare(Pfn first, std::size_t pages) {
      first_ = first;
      mask_ = 0;
      std::atomic_signal_fence(std::memory_order_seq_cst);
      pages_ = pages;
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    // Pages of one word of a pageblock's maps, not all adjacent; `first` is the word's.
    void declare_in_word(Pfn first, std::uint64_t mask) {
      first_ = first;
      mask_ = mask;
      std::atomic_signal_fence(std::memory_order_seq_cst);
      pages_ = popcount(mask);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    void done() {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      pages_ = 0;
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    Pfn first() const { return first_; }
    std::size_t pages() const { return pages_; }
    std::uint64_t mask() const { return mask_; }  // 0: all from the first on

   private:
    Pfn first_;
    std::uint64_t mask_ = 0;
    std::size_t pages_ = 0;
  };

  // lock_ with changes_ odd meanwhile: whoever holds lock_ to change something holds it so.
  void acquire() {
    lock_.lock();
    changes_.store(changes_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
  }
  void release() {
    if (limited()) [[unlikely]]
      settle();
    changes_.store(changes_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    lock_.unlock();
  }
  class Hold {
   public:
    explicit Hold(Zone& zone) : zone_(zone) { zone_.acquire(); }
    ~Hold() { zone_.release(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Zone& zone_;
  };

  bool limited() const { return budget != nullptr && budget->limited(); }
  bool tight() const { return budget != nullptr && budget->tight(); }

  // All below: lock_ held.
  bool admit(std::size_t pages);
  void settle();
  std::size_t clean_pages(Pfn first, std::size_t pages) const;
  bool find_block(unsigned order, Migratetype type, Request request, BlockIndex& out);
  bool find_in_type(unsigned order, Migratetype type, BlockIndex& out) const;
  bool alloc_backed(std::size_t pages, unsigned order, Migratetype type, Run& out);
  bool alloc_at_limit(std::size_t pages, unsigned order, Migratetype type, Request request, Run& out);
  bool alloc_reserved(std::size_t pages, unsigned order, Request request, Run& out);
  void fill_reserve();
  std::size_t wanted_reserve() const;
  bool find_in_other_types(unsigned order, Migratetype type, BlockIndex& out);
  void add_fresh(BlockIndex first, std::size_t blocks);
  bool open_fresh(Migratetype type, BlockIndex& out);
  void retype(BlockIndex b, Migratetype type);
  std::size_t take_from(BlockIndex b, unsigned order, std::size_t pages, std::size_t count, Run* out);
  std::size_t take_in_word(BlockIndex b, std::size_t word, std::uint64_t blocks, unsigned order, unsigned found,
                           std::size_t count, Run* out);
  bool may_join(const Section& s, std::uint32_t k, Migratetype type) const;
  Pfn free_from(Pfn at, Migratetype type) const;
  Pfn free_to(Pfn end, Migratetype type) const;
  bool hole_in(BlockIndex b, std::size_t pages, Migratetype type, Pfn& out) const;
  bool find_hole(std::size_t pages, Migratetype type, Pfn& out) const;
  bool find_among_whole(std::size_t pages, Migratetype type, Pfn& out) const;
  bool find_backed_whole(std::size_t pages, Migratetype type, Pfn& out) const;
  bool find_growing(std::size_t pages, Migratetype type, Pfn& out) const;
  bool take_snug(std::size_t pages, unsigned order, Migratetype type, Request request, Run& out);
  std::size_t take_packed(std::size_t pages, unsigned order, Migratetype type, Request request, std::size_t count,
                          Run* out);
  bool take_opened(Pfn start, std::size_t pages, Migratetype type, Run& out);
  bool alloc_blocks(std::size_t pages, Migratetype type, std::size_t align_blocks, Placement placement, Run& out);
  bool find_whole_run(std::size_t blocks, std::size_t align_blocks, BlockIndex& out);
  bool find_after_lead(std::size_t blocks, BlockIndex& out);
  void free_range(Pfn first, std::size_t pages);
  bool range_free(Pfn first, std::size_t pages);
  void take_in_block(BlockIndex b, std::size_t first, std::size_t pages, bool& zeroed);
  void take_pages(BlockIndex b, std::size_t first, std::size_t pages, bool& zeroed);
  void note_taken(Pageblock& d, std::size_t pages, std::size_t dirty);
  bool set_apart_and_free(Pfn first, std::size_t pages, std::size_t& used) const;
  void take_range(Pfn first, std::size_t pages, Run& out);
  void note_peak();
  void free_in_block(BlockIndex b, std::size_t first, std::size_t pages);
  bool opened(BlockIndex b) const;
  bool dense_on_small_pages(BlockIndex b, std::uint32_t generation) const;
  void hide(BlockIndex b);
  bool unhide(BlockIndex b);
  std::uint64_t collapse_hidden(BlockIndex first, std::size_t count) const;  // needs no lock
  void list(BlockIndex b);                                                   // into the free sets, by its maps
  void unlist(BlockIndex b);                                                 // out of them
  void relist(BlockIndex b);                                                 // after its maps changed
  void relist(BlockIndex b, int largest_order);
  bool purge_one_run(std::size_t most_blocks, std::size_t& purged);  // unlocks while the OS works
  void set_moved(BlockIndex b, Moved moved);
  bool any_moved(BlockIndex first, std::size_t blocks);  // takes lock_ itself
  bool outgrown_is_wanted();                             // likewise
  std::size_t purge_holes(std::size_t least_pages);
  std::size_t purge_pages(BlockIndex b, const PageBitmap& pages);
  bool has_holes(const Pageblock& d) const;
  void balance(std::size_t freed_pages);   // likewise
  void purge_slack_to(std::size_t pages);  // likewise
  std::size_t slack() const { return dirty_whole_ << kPageblockOrder; }
  std::size_t high_mark() const;
  std::uint64_t advance(std::uint64_t now_ms);
  void cross_high(std::uint64_t now_ms);
  bool keeps_by_turnover(std::size_t freed_pages, std::size_t high);
  void note_slack();
  void note_refault(std::size_t clean_pages);
  void note_pollution();
  template <class F>
  void for_each_opened(F f) {
    for (unsigned i = 0; i < map_->section_count(); ++i) {
      const Section& s = map_->section(i);
      if (s.zone != number_) continue;
      for (std::uint32_t k = 0; k < s.opened; ++k) f(s.first + k, map_->block(s.first + k));
    }
  }

  os::Lock lock_;
  std::atomic<std::uint32_t> changes_{0};
  std::uint32_t number_ = 0;
  const os::Vm* vm_ = nullptr;
  MemMap* map_ = nullptr;
  AddressSpace* space_ = nullptr;
  FreeArea* area_ = nullptr;
  bool keeps_backing_ = false;  // what was opened once can not be given back
  std::size_t free_pages_ = 0;
  std::size_t backed_free_ = 0;
  std::size_t charged_ = 0;      // pages that the budget knows of
  std::size_t used_ = 0;         // [ZN-5] handed-out pages: opened less free
  std::size_t peak_used_ = 0;    // since the last purge
  std::size_t phase_used_ = 0;   // the peak that began this phase
  std::size_t turnover_ = 0;     // pages handed out in this phase since the last purge, less what keeping memory cost
  std::size_t moved_ = 0;        // [ZN-9] pageblocks that are Moved::kFirst
  std::size_t isolated_ = 0;     // pageblocks that are being purged, emptied or collapsed, without the lock
  std::size_t dirty_whole_ = 0;  // [ZN-4] pageblocks in the set kDirtyWhole
  std::size_t purged_pages_ = 0;
  std::atomic<std::uint8_t> attention_{0};
  bool defers_ = false;
  bool fell_ = false;           // slack has been below the high mark since it last crossed it
  bool just_polluted_ = false;  // boost has not been dated yet
  std::size_t boost_ = 0;
  std::size_t lowered_ = 0;  // by how much lack of demand has lowered the high mark
  std::size_t kept_ = 0;     // slack above the high mark that turnover has earned
  HalfLives fade_;           // of boost_ and kept_
  Refaults refaults_;
  Outgrown outgrown_;
  RecentRange<kIdlePeriod> recent_slack_;  // in pageblocks, as the next
  RecentRange<kDemandPeriod> demand_;
  bool has_reserve_ = false;
  BlockIndex reserve_;              // the pageblock of type HighAtomic
  std::size_t reserve_backed_ = 0;  // pages from its start that have memory behind them
  Mixing mixing_;
  Intent intent_;
};

}  // namespace bm::pages

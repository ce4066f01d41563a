// lifetime.cc: see lifetime.h.  layer: heap
#include "heap/lifetime.h"

#include <algorithm>

#include "base/bits.h"
#include "heap/thread_heap.h"
#include "os/code.h"

namespace bm::heap {
namespace {

static_assert(Lifetimes::kDraining == bin_offset(slab::kTwins));
static_assert(Lifetimes::kElsewhere == offsetof(Front, state) - offsetof(Front, bins));

constexpr std::uint32_t kShare = 32;              // much: one part in so many of all that was fetched lately,
constexpr std::uint32_t kLeastObjects = 1024;     // and so many objects
constexpr std::uint32_t kLeastKib = 128;          // or bytes
constexpr std::uint32_t kPeriodKib = 128 * 1024;  // counts are halved after each such volume
constexpr std::uint32_t kEnoughLooks = 4096;      // in vain
constexpr std::uint32_t kPatience = 16;           // refills of another path, before that one is looked at instead
constexpr std::uint8_t kReturns = 2;
constexpr unsigned kEnoughSeen = 4;   // objects to judge by
constexpr unsigned kClearlySeen = 8;  // ... once and for all
constexpr std::uint8_t kToStay = 2;   // Seen::against_, to become one that lives long
constexpr std::uint8_t kToDrain = 3;  // ... and to be none any more
constexpr std::uint8_t kTwiceAsDeep = 8;
static_assert(Lifetimes::kSlots <= UINT8_MAX);

void add(std::atomic<std::uint32_t>& to, std::size_t n) {
  to.store(to.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(n), std::memory_order_relaxed);
}

void add(std::uint8_t& to, std::uint8_t n) { to = static_cast<std::uint8_t>(to + n); }

constexpr std::uint8_t depth_of(std::uint32_t mib) {
  const unsigned top = highest_bit(mib | 1);
  return static_cast<std::uint8_t>(8 * top + ((std::uint64_t{mib} << 3 >> top) & 7));
}

}  // namespace

constinit Lifetimes lifetimes;

void Seen::note(unsigned alive, unsigned all, std::uint32_t mib) {
  if (all < kEnoughSeen) return;
  const bool survives = 4 * alive >= 3 * all;
  const bool drains = 4 * alive <= all;
  const std::uint8_t depth = depth_of(mib);
  if (survives == drains || survives == lives_long_) {
    against_ = 0;
    if (survives != drains) depth_ = std::max(depth_, depth);
    return;
  }
  if (survives) {
    if (depth + kTwiceAsDeep < depth_) {
      --depth_;
      return;
    }
    add(against_, all >= kClearlySeen && 8 * alive >= 7 * all ? kToStay : 1);
  } else {
    add(against_, depth >= depth_ + kTwiceAsDeep ? kToDrain : 1);
  }
  if (against_ < (lives_long_ ? kToDrain : kToStay)) return;
  __atomic_store_n(&lives_long_, !lives_long_, __ATOMIC_RELAXED);
  against_ = 0;
  depth_ = depth;
}

// What happened before this period counts less and less.
void Lifetimes::age(Count& c) const {
  const std::uint32_t now = all_.period.load(std::memory_order_relaxed);
  const std::uint32_t passed = now - c.period.load(std::memory_order_relaxed);
  if (passed == 0) return;
  const std::uint32_t shift = passed < 31 ? passed : 31;
  c.objects.store(c.objects.load(std::memory_order_relaxed) >> shift, std::memory_order_relaxed);
  c.kib.store(c.kib.load(std::memory_order_relaxed) >> shift, std::memory_order_relaxed);
  c.period.store(now, std::memory_order_relaxed);
}

bool Lifetimes::much(const Count& c) const {
  const auto share = [](const std::atomic<std::uint32_t>& part, const std::atomic<std::uint32_t>& whole,
                        std::uint32_t least) {
    const std::uint32_t n = part.load(std::memory_order_relaxed);
    return n >= least && n >= whole.load(std::memory_order_relaxed) / kShare;
  };
  return share(c.objects, all_.objects, kLeastObjects) || share(c.kib, all_.kib, kLeastKib);
}

void Lifetimes::begin_look(Look& look, CallPath path) {
  look.owner.store(static_cast<std::uint32_t>(path.cell), std::memory_order_relaxed);
  look.looks.store(1, std::memory_order_relaxed);
  unsigned slot = 1;  // the first word is the return address itself, or what the callee has saved
  for (Look::Word& word : look.words) {
    while (slot < kSlots && readable(path, slot) && !os::in_program(word_at(path, slot))) ++slot;
    const bool found = slot < kSlots && readable(path, slot);
    word.slot.store(found ? static_cast<std::uint16_t>(slot) : 0, std::memory_order_relaxed);
    word.value.store(found ? word_at(path, slot) : 0, std::memory_order_relaxed);
    word.differs.store(false, std::memory_order_relaxed);
    word.returns.store(0, std::memory_order_relaxed);
    ++slot;
  }
}

// The slot whose word tells such paths apart; 0: none yet.
unsigned Lifetimes::telling_slot(CallPath path) {
  if (path.stack == nullptr) return 0;
  Look& look = looks_[path.cell % kLooks];
  const std::uint32_t looks = look.looks.load(std::memory_order_relaxed);
  if (look.owner.load(std::memory_order_relaxed) != path.cell) {
    // Of who has been looked at enough, or comes no more, the place is free.
    look.looks.store(looks + 1, std::memory_order_relaxed);
    if (looks % kPatience == 0 || looks >= kEnoughLooks) begin_look(look, path);
    return 0;
  }
  if (looks >= kEnoughLooks) return 0;
  look.looks.store(looks + 1, std::memory_order_relaxed);
  for (Look::Word& word : look.words) {
    const unsigned slot = word.slot.load(std::memory_order_relaxed);
    if (slot == 0 || !readable(path, slot)) return 0;
    const std::uintptr_t now = word_at(path, slot);
    if (now != word.value.load(std::memory_order_relaxed)) {
      if (os::in_program(now)) word.differs.store(true, std::memory_order_relaxed);
      continue;
    }
    if (!word.differs.load(std::memory_order_relaxed)) continue;
    word.differs.store(false, std::memory_order_relaxed);
    const auto returns = static_cast<std::uint8_t>(word.returns.load(std::memory_order_relaxed) + 1);
    word.returns.store(returns, std::memory_order_relaxed);
    if (returns >= kReturns) return slot;
  }
  return 0;
}

void Lifetimes::note(CallPath path, std::size_t objects, std::size_t bytes, std::uint32_t slabs) {
  if (!tells_apart(slabs)) return;
  const std::size_t kib = (bytes + 1023) / 1024;
  add(all_.objects, objects);
  add(all_.kib, kib);
  if (all_.kib.load(std::memory_order_relaxed) >= kPeriodKib) {
    all_.objects.store(all_.objects.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
    all_.kib.store(all_.kib.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
    add(all_.period, 1);
  }
  std::size_t cell = path.cell;
  if (cell == 0) return;
  const auto decide = [&](std::uint16_t v) { __atomic_store_n(&verdict_[cell], v, __ATOMIC_RELAXED); };
  if (verdict(cell) == kDraining || (verdict(cell) == 0 && seen_[cell].lives_long())) {
    if (const unsigned slot = telling_slot(path); slot != 0) {
      __atomic_store_n(&slot_[cell], static_cast<std::uint8_t>(slot), __ATOMIC_RELAXED);
      decide(kElsewhere);
    }
  }
  if (verdict(cell) == kElsewhere) cell = elsewhere(path);
  if (cell == 0 || verdict(cell) != 0 || seen_[cell].lives_long()) return;
  Count& c = cells_[cell];
  age(c);
  add(c.objects, objects);
  add(c.kib, kib);
  if (much(c)) decide(kDraining);
}

std::size_t Lifetimes::observed(CallPath path) const {
  const std::size_t cell = verdict(path.cell) == kElsewhere ? elsewhere(path) : path.cell;
  return verdict(cell) == kDraining || seen_[cell].lives_long() ? cell : 0;
}

// What no longer lives long drains once it is seen to allocate much.
void Lifetimes::observe(std::size_t cell, unsigned alive, unsigned all, std::uint32_t mib) {
  Seen& s = seen_[cell];
  s.note(alive, all, mib);
  if (s.lives_long() && verdict(cell) == kDraining)
    __atomic_store_n(&verdict_[cell], std::uint16_t{0}, __ATOMIC_RELAXED);
}

}  // namespace bm::heap

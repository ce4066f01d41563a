// pages.hpp: a run of whole pages that gives itself back. C++17, header only, over pages.h.
#ifndef BUDDYMALLOC_PAGES_HPP
#define BUDDYMALLOC_PAGES_HPP

#include <cstddef>
#include <utility>

#include "buddymalloc/pages.h"

namespace buddymalloc {

// Owns the pages of one bm_pages_alloc() or bm_pages_alloc_exact(); empty when there was no memory, with errno as there.
// Movable, not copyable. Not thread-safe by itself: one thread at a time, as for any value.
class PageRun {
 public:
  PageRun() = default;
  // 2^order pages.
  static PageRun of_order(unsigned order, unsigned flags = BM_PAGES_UNMOVABLE) {
    return PageRun(bm_pages_alloc(order, flags), std::size_t{BM_PAGE_SIZE} << order, order);
  }
  // As many pages as `bytes` need.
  static PageRun of_bytes(std::size_t bytes, unsigned flags = BM_PAGES_UNMOVABLE) {
    return PageRun(bm_pages_alloc_exact(bytes, flags), (bytes + BM_PAGE_SIZE - 1) / BM_PAGE_SIZE * BM_PAGE_SIZE,
                   kExact);
  }
  PageRun(PageRun&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), order_(other.order_) {}
  PageRun& operator=(PageRun&& other) noexcept {
    PageRun old(std::move(*this));
    start_ = std::exchange(other.start_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    order_ = other.order_;
    return *this;
  }
  PageRun(const PageRun&) = delete;
  PageRun& operator=(const PageRun&) = delete;
  ~PageRun() {
    if (order_ == kExact)
      bm_pages_free_exact(start_, bytes_);
    else
      bm_pages_free(start_, order_);
  }

  explicit operator bool() const { return start_ != nullptr; }
  void* data() const { return start_; }
  std::size_t size() const { return bytes_; }  // bytes, whole pages
  // Gives up ownership: the caller frees the pages as pages.h says.
  void* release() {
    bytes_ = 0;
    return std::exchange(start_, nullptr);
  }

 private:
  static constexpr unsigned kExact = ~0U;
  PageRun(void* start, std::size_t bytes, unsigned order)
      : start_(start), bytes_(start != nullptr ? bytes : 0), order_(order) {}
  void* start_ = nullptr;
  std::size_t bytes_ = 0;
  unsigned order_ = 0;
};

}  // namespace buddymalloc

#endif

// workloads_bignum.cc: arithmetic on numbers of any length, each of which is a small block.  layer: bench
#include "workloads.h"

namespace bm::bench {
namespace {

// cfrac: numbers are factored with arithmetic whose every result is a new small block, most of them dead after the next
// operation. After cfrac of Zorn's suite; the method is Pollard's rho, in which numbers live as in continued fractions.
class Big {
 public:
  explicit Big(std::uint64_t value) : Big(2, Zeroed()) {
    digits_[0] = static_cast<std::uint32_t>(value);
    digits_[1] = static_cast<std::uint32_t>(value >> 32);
    trim();
  }
  Big(const Big& other) : Big(other.length_, Zeroed()) { std::copy_n(other.digits_, length_, digits_); }
  Big(Big&& other) noexcept : digits_(std::exchange(other.digits_, nullptr)), length_(other.length_) {}
  Big& operator=(Big other) noexcept {
    std::swap(digits_, other.digits_);
    std::swap(length_, other.length_);
    return *this;
  }
  ~Big() { std::free(digits_); }

  bool is_zero() const { return length_ == 0; }
  friend bool operator==(const Big& a, const Big& b) { return compare(a, b) == 0; }

  friend Big operator+(const Big& a, const Big& b) {
    if (a.length_ < b.length_) return b + a;
    Big sum(a.length_ + 1, Zeroed());
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < a.length_; ++i) {
      carry += std::uint64_t{a.digits_[i]} + (i < b.length_ ? b.digits_[i] : 0);
      sum.digits_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    sum.digits_[a.length_] = static_cast<std::uint32_t>(carry);
    return sum.trim();
  }

  static Big difference(const Big& a, const Big& b) {
    if (compare(a, b) < 0) return difference(b, a);
    Big result(a);
    result.subtract(b, 0, 1);
    return result.trim();
  }

  friend Big operator*(const Big& a, const Big& b) {
    Big product(a.length_ + b.length_, Zeroed());
    for (std::size_t i = 0; i < a.length_; ++i) {
      std::uint64_t carry = 0;
      for (std::size_t j = 0; j < b.length_; ++j) {
        carry += std::uint64_t{a.digits_[i]} * b.digits_[j] + product.digits_[i + j];
        product.digits_[i + j] = static_cast<std::uint32_t>(carry);
        carry >>= 32;
      }
      product.digits_[i + b.length_] = static_cast<std::uint32_t>(carry);
    }
    return product.trim();
  }

  // Long division: the quotient's digit is estimated from the leading digits, never too large, and what remains is taken off again.
  friend Big operator%(const Big& a, const Big& b) {
    if (compare(a, b) < 0) return a;
    const auto shift = static_cast<unsigned>(std::countl_zero(b.digits_[b.length_ - 1]));
    Big rest = a.shifted(shift);
    const Big by = b.shifted(shift);
    const std::uint64_t leading = std::uint64_t{by.digits_[by.length_ - 1]} + 1;
    for (std::size_t at = rest.length_ - by.length_ + 1; at-- != 0;)
      while (compare_from(rest, at, by) >= 0) {
        const std::size_t top = at + by.length_;
        const std::uint64_t two =
            (top < rest.length_ ? std::uint64_t{rest.digits_[top]} << 32 : 0) | rest.digits_[top - 1];
        rest.subtract(by, at, static_cast<std::uint32_t>(std::clamp<std::uint64_t>(two / leading, 1, UINT32_MAX)));
      }
    rest.trim();
    for (std::size_t i = 0; shift != 0 && i < rest.length_; ++i)
      rest.digits_[i] = rest.digits_[i] >> shift | (i + 1 < rest.length_ ? rest.digits_[i + 1] << (32 - shift) : 0);
    return rest.trim();
  }

 private:
  struct Zeroed {};
  Big(std::size_t length, Zeroed) : length_(length) {
    digits_ = static_cast<std::uint32_t*>(allocated(std::calloc(length + 1, sizeof(std::uint32_t))));
  }
  Big& trim() {
    while (length_ != 0 && digits_[length_ - 1] == 0) --length_;
    return *this;
  }
  std::uint32_t digit(std::size_t i) const { return i < length_ ? digits_[i] : 0; }

  // The digits of a from `at` on, as a number, beside b.
  static int compare_from(const Big& a, std::size_t at, const Big& b) {
    for (std::size_t i = std::max(a.length_ - std::min(a.length_, at), b.length_); i-- != 0;)
      if (a.digit(at + i) != b.digit(i)) return a.digit(at + i) < b.digit(i) ? -1 : 1;
    return 0;
  }
  static int compare(const Big& a, const Big& b) { return compare_from(a, 0, b); }

  // times * b, from digit `at` on; no more than there is.
  void subtract(const Big& b, std::size_t at, std::uint32_t times) {
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; at + i < length_; ++i) {
      borrow += std::uint64_t{b.digit(i)} * times;
      const auto low = static_cast<std::uint32_t>(borrow);
      borrow = (borrow >> 32) + (digits_[at + i] < low);
      digits_[at + i] -= low;
    }
  }
  // One digit longer, so that nothing is lost.
  Big shifted(unsigned bits) const {
    Big result(length_ + 1, Zeroed());
    for (std::size_t i = 0; i <= length_; ++i)
      result.digits_[i] = digit(i) << bits | (bits != 0 && i != 0 ? digits_[i - 1] >> (32 - bits) : 0);
    return result.trim();
  }

  std::uint32_t* digits_ = nullptr;  // the least significant first
  std::size_t length_ = 0;           // without leading zeros
};

Big greatest_common_divisor(Big a, Big b) {
  while (!b.is_zero()) a = std::exchange(b, a % b);
  return a;
}

// A proper factor of n, by a walk that adds c at each step; or n when the walk finds none.
Big factor_of(const Big& n, std::uint64_t c) {
  const Big one(1), step(c);
  Big slow(2), fast(2), factor(1);
  const auto next = [&](const Big& x) { return (x * x + step) % n; };
  for (int batches = 0; factor == one; ++batches) {
    expect(batches < 10'000, "a number is without a factor");
    Big product(1);
    for (int i = 0; i < 100; ++i) {
      slow = next(slow);
      fast = next(next(fast));
      const Big apart = Big::difference(slow, fast);
      if (!apart.is_zero()) product = product * apart % n;
    }
    factor = greatest_common_divisor(product, n);
  }
  return factor;
}

void cfrac(Scale scale) {
  constexpr std::uint64_t kSmall = 268'435'399, kMersenne = (UINT64_C(1) << 61) - 1;
  const Big n = Big(kSmall) * Big(kMersenne) * Big(kMersenne);
  for (std::size_t i = scale.of(50); i != 0; --i) expect(factor_of(n, i) == Big(kSmall), "a factor is another");
}

}  // namespace

std::span<const Workload> bignum_workloads() {
  static constexpr Workload kAll[] = {{"cfrac", cfrac}};
  return kAll;
}

}  // namespace bm::bench

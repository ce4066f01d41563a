// workloads_containers.cc: the C++ library's strings and containers, and a hash table of arrays.  layer: bench
#include "workloads.h"

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace bm::bench {
namespace {

// strings: a text is joined of words, split into strings again, and its words counted in a hash table and in an ordered
// map. After the text-processing programs of Zorn's suite, gawk and perl.
std::vector<std::string> make_vocabulary(bench_random& random) {
  std::vector<std::string> words(20'000);
  for (std::string& word : words) {
    word.resize(power_law(random, 4, 100));
    for (char& letter : word) letter = static_cast<char>(bench_between(&random, 'a', 'z'));
  }
  return words;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ' ';
    text += word;
  }
  return text;
}

void strings(Scale scale) {
  bench_random random = seeded();
  const std::vector<std::string> vocabulary = make_vocabulary(random);
  for (std::size_t i = scale.of(22); i != 0; --i) {
    std::string text;
    for (int n = 0; n < 100'000; ++n)
      text += vocabulary[bench_between(&random, 0, bench_between(&random, 0, vocabulary.size() - 1))] + ' ';
    text.pop_back();
    const std::vector<std::string> words = split(text);
    std::unordered_map<std::string, int> counts;
    std::map<std::string, int> sorted;
    for (const std::string& word : words) {
      ++counts[word];
      ++sorted[word];
    }
    expect(join(words) == text, "a text changed when it was split and joined");
    for (const auto& [word, count] : sorted) expect(counts.at(word) == count, "words were counted differently");
  }
}

// hash-open: tables in one zeroed array each, which is replaced by one of twice the length when three quarters are in use.
// Many tables of few entries and few of very many, as compilers and databases have them.
class OpenTable {
 public:
  OpenTable() = default;
  OpenTable(const OpenTable&) = delete;
  OpenTable& operator=(const OpenTable&) = delete;
  ~OpenTable() { std::free(entries_); }

  std::uint64_t& operator[](std::uint64_t key) {
    if (4 * used_ >= 3 * capacity_) grow();
    Entry& entry = place_of(key);
    used_ += entry.key == 0;
    entry.key = key;
    return entry.value;
  }

 private:
  struct Entry {
    std::uint64_t key, value;  // key 0: nothing is there
  };

  Entry& place_of(std::uint64_t key) const {
    std::size_t at = key * UINT64_C(0x9E3779B97F4A7C15) >> 20;
    while (entries_[at &= capacity_ - 1].key != key && entries_[at].key != 0) ++at;
    return entries_[at];
  }
  void grow() {
    Entry* const old = entries_;
    const std::size_t old_capacity = capacity_;
    capacity_ = std::max<std::size_t>(8, 2 * capacity_);
    entries_ = static_cast<Entry*>(allocated(std::calloc(capacity_, sizeof(Entry))));
    for (const Entry& entry : std::span(old, old_capacity))
      if (entry.key != 0) place_of(entry.key) = entry;
    std::free(old);
  }

  Entry* entries_ = nullptr;
  std::size_t capacity_ = 0, used_ = 0;
};

template <class Table>
void fill_and_look_up(Scale scale, std::size_t tables) {
  bench_random random = seeded();
  std::array<std::unique_ptr<Table>, 200> live;
  for (std::size_t i = scale.of(tables); i != 0; --i) {
    auto& place = live[bench_between(&random, 0, live.size() - 1)];
    place = std::make_unique<Table>();
    const std::size_t entries = power_law(random, 16, 1 << 20);
    for (std::size_t key = 1; key <= entries; ++key) (*place)[key] = key + i;
    for (std::size_t key = 1; key <= entries; ++key)
      expect((*place)[key] == key + i, "an entry of a hash table changed");
  }
}

void hash_open(Scale scale) { fill_and_look_up<OpenTable>(scale, 150'000); }

// hash-nodes: the same tables with a node for each entry, as std::unordered_map has them.
void hash_nodes(Scale scale) { fill_and_look_up<std::unordered_map<std::uint64_t, std::uint64_t>>(scale, 60'000); }

}  // namespace

std::span<const Workload> container_workloads() {
  static constexpr Workload kAll[] = {{"strings", strings}, {"hash-open", hash_open}, {"hash-nodes", hash_nodes}};
  return kAll;
}

}  // namespace bm::bench

// threads.cc: C++ program: containers, strings, streams, threads. Exit status as threads.c.
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "on_us.h"

namespace {

bool count_words(unsigned seed) {
  std::map<std::string, std::vector<int>> words;
  std::ostringstream text;
  for (int i = 0; i < 5000; i++) words["a rather long word, number " + std::to_string(i % 500 + seed)].push_back(i);
  for (const auto& [word, places] : words) text << word << places.size();
  return words.size() == 500 && text.str().size() > 1000;
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  std::vector<int> good(8, 0);
  for (unsigned i = 0; i < 8; i++) threads.emplace_back([&good, i] { good[i] = count_words(i); });
  for (auto& thread : threads) thread.join();
  for (const int one : good) {
    if (one == 0) return 1;
  }
  const auto block = std::make_unique<int>(1);
  return on_us(block.get()) ? 3 : 0;
}

// main.cc: the command: buddymalloc REPORT PID|FILE.  tool: inspect
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include <sys/types.h>

#include "pages/page_report.h"
#include "slab/slab_report.h"
#include "tools/inspect/core_file.h"
#include "tools/inspect/failure.h"
#include "tools/inspect/heap_state.h"
#include "tools/inspect/hugepages.h"
#include "tools/inspect/live_process.h"
#include "tools/inspect/proc_text.h"

namespace bm::inspect {
namespace {

constexpr const char* kUsage =
    "usage: buddymalloc [--interval=SECONDS] [--blocks] REPORT PID|FILE\n"
    "\n"
    "Prints, in the kernel's format, a report about the heap of a process that runs on buddymalloc, without stopping "
    "or\n"
    "slowing it. FILE is a core file of such a process, or a saved buddyinfo or pagetypeinfo of any machine.\n"
    "\n"
    "  buddyinfo       free blocks of each zone by order\n"
    "  pagetypeinfo    free blocks by migratetype and order, pageblocks by migratetype\n"
    "  zoneinfo        pages of each zone: free, watermarks, reserved, opened, usable, free and backed\n"
    "  slabinfo        objects and slabs of each size class in use\n"
    "  extfrag         by order, why a request would fail: 0 lack of memory, 1 fragmentation; -1 it would not\n"
    "  unusable        by order, the part of free memory that is in blocks too small\n"
    "  hugepages       of a process only: resident memory on hugepages, and resident memory that is free\n"
    "\n"
    "  --interval=SECONDS  again and again, with an empty line between, until the process ends\n"
    "  --blocks            with hugepages: a line for each pageblock before, counts in pages\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done, 1 cannot tell (the reason is on stderr), 2 wrong usage.\n";

struct Report {
  const char* name;
  void (*print)(TextSink& out, const ProcText& zones);         // null: print_state does
  bool from_text;                                              // a text of the kernel's has what it takes
  void (*print_state)(TextSink&, const HeapState&) = nullptr;  // what is more than zones
};

constexpr Report kReports[] = {
    {"buddyinfo", [](TextSink& o, const ProcText& t) { print_buddyinfo(o, t.zones.data(), t.zones.size()); }, true},
    {"pagetypeinfo",
     [](TextSink& o, const ProcText& t) { print_pagetypeinfo(o, t.zones.data(), t.zones.size(), t.order); }, false},
    {"zoneinfo", [](TextSink& o, const ProcText& t) { print_zoneinfo(o, t.zones.data(), t.zones.size()); }, false},
    {"extfrag", [](TextSink& o, const ProcText& t) { print_extfrag_index(o, t.zones.data(), t.zones.size()); }, true},
    {"unusable", [](TextSink& o, const ProcText& t) { print_unusable_index(o, t.zones.data(), t.zones.size()); }, true},
    {"slabinfo", nullptr, false, [](TextSink& o, const HeapState& s) { slab::print_slabinfo(o, s.slabs()); }},
    {"hugepages", nullptr, false, [](TextSink& o, const HeapState& s) { print_hugepages(o, s, false); }},
};
constexpr Report kBlocksReport = {"hugepages", nullptr, false,
                                  [](TextSink& o, const HeapState& s) { print_hugepages(o, s, true); }};

void write_to_stdout(void*, const char* text, std::size_t bytes) { std::fwrite(text, 1, bytes, stdout); }

// True: the process was at rest while it was read.
bool print_state(const Report& report, const HeapState& state) {
  TextSink out(write_to_stdout, nullptr);
  if (report.print == nullptr) {
    report.print_state(out, state);
    return true;
  }
  HeapState::Zones zones = state.zones();
  ProcText text;
  text.zones = std::move(zones.reports);
  report.print(out, text);
  return zones.consistent;
}

void print_text(const Report& report, const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!is_proc_text(text)) throw Failure(path + " is no process, core file, buddyinfo or pagetypeinfo");
  if (!report.from_text) throw Failure(path + ": a text does not have what " + report.name + " needs");
  const ProcText parsed = parse_proc_text(text);
  TextSink out(write_to_stdout, nullptr);
  report.print(out, parsed);
}

std::optional<pid_t> pid_in(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc{} || end != text.data() + text.size() || pid <= 0) return {};
  return pid;
}

int run(const Report& report, const std::string& target) {
  if (const auto pid = pid_in(target)) {
    const LiveProcess process(*pid);
    print_state(report, HeapState(process));
    return 0;
  }
  ElfFile file{FileView(target)};
  if (!file.is_core()) {
    print_text(report, target);
    return 0;
  }
  const CoreFile core(target, std::move(file));
  if (print_state(report, HeapState(core))) return 0;
  std::fprintf(stderr, "buddymalloc: %s was written while a zone was being changed: figures may be off\n",
               target.c_str());
  return 1;
}

// A zombie has no memory left.
bool ended(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(") ");
  return name_end == std::string::npos || text[name_end + 2] == 'Z' || text[name_end + 2] == 'X';
}

// Seconds; of a process only.
int run_repeatedly(const Report& report, const std::string& target, double interval) {
  const auto pid = pid_in(target);
  if (!pid) throw Failure("--interval is for a process, and " + target + " is no process id");
  const LiveProcess process(*pid);
  const HeapState state(process);
  const auto pause = std::chrono::duration<double>(interval);
  auto next = std::chrono::steady_clock::now();
  for (bool first = true;; first = false) {
    if (!first && ended(*pid)) return 0;
    try {
      if (!first) std::putchar('\n');
      print_state(report, state);
    } catch (const Failure&) {
      if (ended(*pid)) return 0;
      throw;
    }
    if (std::fflush(stdout) != 0) return 1;
    // After a stop of its own it goes on from there: what was missed is not printed in a burst.
    next = std::max(next + std::chrono::duration_cast<std::chrono::steady_clock::duration>(pause),
                    std::chrono::steady_clock::now());
    std::this_thread::sleep_until(next);
  }
}

std::optional<double> interval_in(std::string_view word) {
  constexpr std::string_view kOption = "--interval=";
  double seconds = 0;
  if (!word.starts_with(kOption)) return {};
  word.remove_prefix(kOption.size());
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), seconds);
  if (error != std::errc{} || end != word.data() + word.size() || !(seconds > 0) || seconds > 1e6) return {};
  return seconds;
}

int main(int count, char** words) {
  const std::string_view first = count > 1 ? words[1] : "";
  if (first == "--help") return std::fputs(kUsage, stdout) < 0;
  if (first == "--version") return std::puts("buddymalloc " BM_VERSION) < 0;
  const auto interval = interval_in(first);
  int at = interval ? 2 : 1;
  const bool blocks = count > at && std::string_view(words[at]) == "--blocks";
  if (blocks) ++at;
  for (const Report& report : blocks ? std::span{&kBlocksReport, 1} : std::span{kReports})
    if (count == at + 2 && std::string_view(words[at]) == report.name) try {
        const std::string target = words[at + 1];
        const int status = interval ? run_repeatedly(report, target, *interval) : run(report, target);
        return std::fflush(stdout) == 0 ? status : 1;
      } catch (const std::exception& failure) {
        std::fprintf(stderr, "buddymalloc: %s\n", failure.what());
        return 1;
      }
  std::fputs(kUsage, stderr);
  return 2;
}

}  // namespace
}  // namespace bm::inspect

int main(int count, char** words) { return bm::inspect::main(count, words); }

// workloads_documents.cc: documents read into a tree of values, written out again, and freed as a whole.  layer: bench
#include "workloads.h"

#include <array>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>

namespace bm::bench {
namespace {

// json-dom: a document of nested objects, arrays, strings and numbers is parsed, kept for a while, written out again and freed.
// After the benchmarks by which JSON libraries are compared: reading into a tree, and writing.
struct Value {
  std::string text;  // of a string; of a member its name is in names
  long number = 0;
  std::vector<std::string> names;
  std::vector<Value> items;
  enum { kNumber, kString, kArray, kObject } kind = kNumber;
};

void write_members(std::string& out, const Value& value);

void write(std::string& out, const Value& value) {
  if (value.kind == Value::kNumber)
    out += std::to_string(value.number);
  else if (value.kind == Value::kString)
    out.append("\"").append(value.text).append("\"");
  else
    write_members(out, value);
}

void write_members(std::string& out, const Value& value) {
  const bool object = value.kind == Value::kObject;
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i != 0) out += ',';
    if (object) out.append("\"").append(value.names[i]).append("\":");
    write(out, value.items[i]);
  }
  out += object ? '}' : ']';
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value value() {
    Value value;
    if (take('"')) {
      value.kind = Value::kString;
      value.text = rest_of_string();
    } else if (take('[')) {
      value.kind = Value::kArray;
      while (!take(']')) {
        value.items.push_back(this->value());
        take(',');
      }
    } else if (take('{')) {
      value.kind = Value::kObject;
      while (!take('}')) {
        expect(take('"'), "no name of a member");
        value.names.push_back(rest_of_string());
        expect(take(':'), "no colon after a name");
        value.items.push_back(this->value());
        take(',');
      }
    } else {
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value.number);
      expect(error == std::errc(), "no number");
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    }
    return value;
  }

 private:
  bool take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string rest_of_string() {
    const std::size_t end = text_.find('"');
    expect(end != text_.npos, "a string has no end");
    std::string string(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return string;
  }

  std::string_view text_;
};

std::string letters(bench_random& random, std::size_t most) {
  std::string text(power_law(random, 4, most), ' ');
  for (char& letter : text) letter = static_cast<char>(bench_between(&random, 'a', 'z'));
  return text;
}

Value make_value(bench_random& random, int depth) {
  Value value;
  if (depth == 0 || one_in(random, 4)) {
    value.kind = one_in(random, 2) ? Value::kString : Value::kNumber;
    value.number = static_cast<long>(bench_next(&random) >> 40);
    value.text = letters(random, 200);
    return value;
  }
  value.kind = one_in(random, 2) ? Value::kArray : Value::kObject;
  for (std::size_t items = power_law(random, 3, 40); items != 0; --items) {
    if (value.kind == Value::kObject) value.names.push_back(letters(random, 30));
    value.items.push_back(make_value(random, depth - 1));
  }
  return value;
}

void json_dom(Scale scale) {
  bench_random random = seeded();
  std::array<std::string, 8> texts;
  for (std::string& text : texts) {
    for (text += '['; text.size() < 300'000; text += ',') write(text, make_value(random, 3));
    text.back() = ']';
  }
  std::array<std::unique_ptr<Value>, 16> live;
  for (std::size_t i = scale.of(400); i != 0; --i) {
    const std::string& text = texts[i % texts.size()];
    auto& document = live[bench_between(&random, 0, live.size() - 1)];
    document = std::make_unique<Value>(Parser(text).value());
    std::string written;
    write(written, *document);
    expect(written == text, "a document changed between reading and writing");
  }
}

}  // namespace

std::span<const Workload> document_workloads() {
  static constexpr Workload kAll[] = {{"json-dom", json_dom}};
  return kAll;
}

}  // namespace bm::bench

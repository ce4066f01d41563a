// workloads_interpreter.cc: an interpreter that boxes its values and keeps its variables in counted frames.  layer: bench
#include "workloads.h"

#include <memory>

namespace bm::bench {
namespace {

// tree-interpreter: expressions are built as trees, evaluated, and freed whole; each value and each frame of a variable is an
// object of its own, gone as soon as nothing refers to it. After the runs of Lean and Lua in the mimalloc benchmarks.
enum class Op { kNumber, kVariable, kAdd, kMultiply, kIfLess, kLet, kCall };

struct Expression {
  Op op;
  long number = 0;  // or how many frames up a variable is
  std::vector<std::unique_ptr<Expression>> parts;
};
using Tree = std::unique_ptr<Expression>;

struct Number {
  long value;
};
using Boxed = std::shared_ptr<const Number>;

struct Frame {
  Boxed value;
  std::shared_ptr<const Frame> outer;
};
using Frames = std::shared_ptr<const Frame>;

Boxed box(long value) { return std::make_shared<const Number>(Number{value}); }

// Wraps around, as the arithmetic of deep trees leaves a long.
long add(long a, long b) { return static_cast<long>(static_cast<unsigned long>(a) + static_cast<unsigned long>(b)); }
long multiply(long a, long b) {
  return static_cast<long>(static_cast<unsigned long>(a) * static_cast<unsigned long>(b));
}

Frames bind(Boxed value, Frames outer) {
  return std::make_shared<const Frame>(Frame{std::move(value), std::move(outer)});
}

// function: the body that kCall evaluates, in a frame of its own.
Boxed evaluate(const Expression& e, const Frames& frames, const Expression& function) {
  const auto part = [&](std::size_t i) { return evaluate(*e.parts[i], frames, function); };
  switch (e.op) {
    case Op::kNumber: return box(e.number);
    case Op::kVariable: {
      const Frame* frame = frames.get();
      for (long up = e.number; up != 0; --up) frame = frame->outer.get();
      return frame->value;
    }
    case Op::kAdd: return box(add(part(0)->value, part(1)->value));
    case Op::kMultiply: return box(multiply(part(0)->value, part(1)->value));
    case Op::kIfLess: return part(0)->value < part(1)->value ? part(2) : part(3);
    case Op::kLet: return evaluate(*e.parts[1], bind(part(0), frames), function);
    case Op::kCall: return evaluate(function, bind(part(0), nullptr), function);
  }
  fail("an expression changed");
}

template <class... Parts>
Tree tree(Op op, long number, Parts... parts) {
  auto made = std::make_unique<Expression>(Expression{op, number, {}});
  (made->parts.push_back(std::move(parts)), ...);
  return made;
}
Tree number(long value) { return tree(Op::kNumber, value); }
Tree variable(long up) { return tree(Op::kVariable, up); }

// f(n) = n < 2 ? n : f(n - 1) + f(n - 2)
Tree fibonacci() {
  const auto call = [](long less) { return tree(Op::kCall, 0, tree(Op::kAdd, 0, variable(0), number(-less))); };
  return tree(Op::kIfLess, 0, variable(0), number(2), variable(0), tree(Op::kAdd, 0, call(1), call(2)));
}

// A random expression without calls, and its value. scope: of the variables, the innermost last.
struct Known {
  Tree tree;
  long value;
};
Known random_tree(bench_random& random, int depth, std::vector<long>& scope) {
  if (depth == 0) {
    if (scope.empty() || one_in(random, 3)) {
      const long value = static_cast<long>(bench_between(&random, 0, 100));
      return {number(value), value};
    }
    const std::size_t up = bench_between(&random, 0, scope.size() - 1);
    return {variable(static_cast<long>(up)), scope[scope.size() - 1 - up]};
  }
  Known a = random_tree(random, depth - 1, scope);
  if (one_in(random, 3)) {
    scope.push_back(a.value);
    Known body = random_tree(random, depth - 1, scope);
    scope.pop_back();
    return {tree(Op::kLet, 0, std::move(a.tree), std::move(body.tree)), body.value};
  }
  Known b = random_tree(random, depth - 1, scope);
  if (one_in(random, 2)) return {tree(Op::kAdd, 0, std::move(a.tree), std::move(b.tree)), add(a.value, b.value)};
  return {tree(Op::kMultiply, 0, std::move(a.tree), std::move(b.tree)), multiply(a.value, b.value)};
}

void tree_interpreter(Scale scale) {
  bench_random random = seeded();
  for (std::size_t i = scale.of(200); i != 0; --i) {
    const Tree function = fibonacci();
    const Tree call = tree(Op::kCall, 0, number(16));
    expect(evaluate(*call, nullptr, *function)->value == 987, "the sixteenth Fibonacci number is another");
    for (int n = 0; n < 8; ++n) {
      std::vector<long> scope;
      const Known known = random_tree(random, 12, scope);
      expect(evaluate(*known.tree, nullptr, *known.tree)->value == known.value, "an expression's value changed");
    }
  }
}

}  // namespace

std::span<const Workload> interpreter_workloads() {
  static constexpr Workload kAll[] = {{"tree-interpreter", tree_interpreter}};
  return kAll;
}

}  // namespace bm::bench

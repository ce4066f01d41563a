// workloads_octree.cc: a simulation that builds a tree in each step and walks it many times.  layer: bench
#include "workloads.h"

#include <array>
#include <cmath>

namespace bm::bench {
namespace {

// barnes-hut: bodies attract each other; in each step an octree of them is built, walked once for each body, and freed. Few
// allocations for the work, but where the nodes lie matters. After the Barnes-Hut program in Hoard's evaluation and in Olden.
using Vector = std::array<double, 3>;

struct Body {
  Vector place, speed;
};

struct Node {
  double mass = 0;
  Vector middle_of_mass{};  // until the tree is complete: the sum of the places
  Vector middle;
  double half;                 // of an edge
  const Body* body = nullptr;  // of a leaf
  std::array<Node*, 8> parts{};
};

std::size_t part_of(const Node& node, const Body& body) {
  std::size_t part = 0;
  for (std::size_t i = 0; i < 3; ++i) part |= std::size_t{body.place[i] >= node.middle[i]} << i;
  return part;
}

Node* make_node(const Vector& middle, double half) {
  Node* const node = new Node;
  node->middle = middle;
  node->half = half;
  return node;
}

void insert(Node& node, const Body& body);

void insert_below(Node& node, const Body& body) {
  const std::size_t which = part_of(node, body);
  if (node.parts[which] == nullptr) {
    Vector middle = node.middle;
    for (std::size_t i = 0; i < 3; ++i) middle[i] += ((which >> i & 1) != 0 ? 0.5 : -0.5) * node.half;
    node.parts[which] = make_node(middle, node.half / 2);
  }
  insert(*node.parts[which], body);
}

void insert(Node& node, const Body& body) {
  if (node.mass == 0)
    node.body = &body;
  else if (const Body* const first = std::exchange(node.body, nullptr))
    insert_below(node, *first);
  if (node.body == nullptr) insert_below(node, body);
  node.mass += 1;
  for (std::size_t i = 0; i < 3; ++i) node.middle_of_mass[i] += body.place[i];
}

void complete(Node& node) {
  for (double& place : node.middle_of_mass) place /= node.mass;
  for (Node* const part : node.parts)
    if (part != nullptr) complete(*part);
}

// Returns how many bodies were there.
std::size_t free_tree(const Node* node) {
  std::size_t bodies = node->body != nullptr;
  for (const Node* const part : node->parts)
    if (part != nullptr) bodies += free_tree(part);
  delete node;
  return bodies;
}

// A part seen from far off pulls as one body.
void pull(const Node& node, const Body& body, Vector& force) {
  Vector apart;
  double square = 1e-4;
  for (std::size_t i = 0; i < 3; ++i) {
    apart[i] = node.middle_of_mass[i] - body.place[i];
    square += apart[i] * apart[i];
  }
  if (node.body != nullptr || 4 * node.half * node.half < 0.5 * square) {
    const double strength = node.mass / (square * std::sqrt(square));
    for (std::size_t i = 0; i < 3; ++i) force[i] += strength * apart[i];
    return;
  }
  for (const Node* const part : node.parts)
    if (part != nullptr) pull(*part, body, force);
}

void step(std::vector<Body>& bodies) {
  double half = 0;
  for (const Body& body : bodies)
    for (const double place : body.place) half = std::max(half, std::abs(place));
  Node* const root = make_node({}, half);
  for (const Body& body : bodies) insert(*root, body);
  complete(*root);
  std::vector<Vector> forces(bodies.size());
  for (std::size_t i = 0; i < bodies.size(); ++i) pull(*root, bodies[i], forces[i]);
  expect(free_tree(root) == bodies.size(), "bodies are missing in the tree");
  for (std::size_t i = 0; i < bodies.size(); ++i)
    for (std::size_t axis = 0; axis < 3; ++axis) {
      bodies[i].speed[axis] += 1e-8 * forces[i][axis];
      bodies[i].place[axis] += bodies[i].speed[axis];
    }
}

void barnes_hut(Scale scale) {
  bench_random random = seeded();
  std::vector<Body> bodies(15'000);
  for (Body& body : bodies)
    for (double& place : body.place) place = static_cast<double>(bench_next(&random) >> 11) * 0x1p-52 - 1;
  for (std::size_t i = scale.of(20); i != 0; --i) step(bodies);
}

}  // namespace

std::span<const Workload> octree_workloads() {
  static constexpr Workload kAll[] = {{"barnes-hut", barnes_hut}};
  return kAll;
}

}  // namespace bm::bench

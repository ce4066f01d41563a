// workloads_cache.cc: the allocator's choice of addresses is what costs: lines shared by threads, lists spread over memory.
// layer: bench
#include "workloads.h"

namespace bm::bench {
namespace {

// cache-scratch, cache-thrash: each thread writes many times to a few small objects, then frees them and goes on with others.
// Slow when objects of two threads share a cache line. After Berger's Hoard: in scratch each thread begins by freeing objects that lay
// between the other's (passive false sharing), in thrash there are only its own (active).
constexpr std::size_t kObjects = 8, kObjectBytes = 8;

void* make_object() { return allocated(std::malloc(kObjectBytes)); }

void write_often(std::size_t rounds) {
  constexpr std::uint64_t kWrites = 20'000;
  while (rounds-- != 0) {
    volatile std::uint64_t* objects[kObjects];
    for (auto& object : objects) {
      object = static_cast<volatile std::uint64_t*>(make_object());
      *object = 0;
    }
    for (std::uint64_t i = 0; i < kWrites; ++i)
      for (auto* const object : objects) *object = *object + 1;
    for (auto* const object : objects) {
      expect(*object == kWrites, "an object that one thread alone writes to changed");
      std::free(const_cast<std::uint64_t*>(object));
    }
  }
}

void cache_scratch(Scale scale) {
  void* objects[2 * kObjects];
  for (void*& object : objects) object = make_object();
  on_threads(2, [&](std::size_t thread) {
    for (std::size_t i = thread; i < 2 * kObjects; i += 2) std::free(objects[i]);
    write_often(scale.of(600));
  });
}

void cache_thrash(Scale scale) {
  on_threads(2, [scale](std::size_t) { write_often(scale.of(9000)); });
}

// list-walk: many lists grow in turns, lose a third of their nodes and grow again, then all are walked, which is slow if
// neighbours of a list lie far apart. After what Grunwald, Zorn and Henderson asked of allocators: locality.
void list_walk(Scale scale) {
  constexpr std::size_t kLists = 64, kNodes = 200'000;
  bench_random random = seeded();
  std::vector<Block*> lists(kLists);
  const auto grow = [&](std::size_t nodes) {
    while (nodes-- != 0) {
      Block*& first = lists[bench_between(&random, 0, kLists - 1)];
      Block* const node = allocate(bench_between(&random, 16, 64));
      node->next = first;
      first = node;
    }
  };
  grow(kNodes);
  for (std::size_t phase = scale.of(5); phase != 0; --phase) {
    std::size_t gone = 0, walked = 0;
    for (Block*& first : lists)
      for (Block** link = &first; *link != nullptr;) {
        if (!one_in(random, 3)) {
          link = &(*link)->next;
          continue;
        }
        release(std::exchange(*link, (*link)->next));
        ++gone;
      }
    grow(gone);
    for (int i = 0; i < 8; ++i)
      for (const Block* first : lists)
        for (; first != nullptr; first = first->next) walked += check(first) != 0;
    expect(walked == 8 * kNodes, "a list lost nodes");
  }
  for (Block* const first : lists) release_list(first);
}

// graph-walk: a graph whose nodes own arrays of edges; in each phase a third get other edges, then a breadth-first search
// visits all. After the programs of the Olden suite, in which the walk costs more than the allocations.
struct Node {
  std::size_t visited;  // the last search that came here
  std::size_t degree;
  Node** edges;
};

// The first edge stays on the ring through all nodes, by which the search reaches all of them.
void connect(std::vector<Node*>& nodes, std::size_t i, bench_random& random) {
  Node& node = *nodes[i];
  Node* const next = nodes[(i + 1) % nodes.size()];
  expect(node.edges == nullptr || node.edges[0] == next, "an edge changed");
  std::free(node.edges);
  node.degree = power_law(random, 2, 64);
  node.edges = static_cast<Node**>(allocated(std::malloc(node.degree * sizeof(void*))));
  node.edges[0] = next;
  for (std::size_t edge = 1; edge < node.degree; ++edge)
    node.edges[edge] = nodes[bench_between(&random, 0, nodes.size() - 1)];
}

std::size_t search(Node* from, std::size_t number) {
  std::vector<Node*> reached{from};
  from->visited = number;
  for (std::size_t i = 0; i < reached.size(); ++i)
    for (Node* const to : std::span(reached[i]->edges, reached[i]->degree))
      if (to->visited != number) {
        to->visited = number;
        reached.push_back(to);
      }
  return reached.size();
}

void graph_walk(Scale scale) {
  bench_random random = seeded();
  std::vector<Node*> nodes(100'000);
  for (Node*& node : nodes) node = static_cast<Node*>(allocated(std::calloc(1, sizeof(Node))));
  for (std::size_t i = 0; i < nodes.size(); ++i) connect(nodes, i, random);
  const std::size_t phases = scale.of(80);
  for (std::size_t phase = 1; phase <= phases; ++phase) {
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (one_in(random, 3)) connect(nodes, i, random);
    expect(search(nodes[phase], phase) == nodes.size(), "the graph lost nodes");
  }
  for (Node* const node : nodes) {
    std::free(node->edges);
    std::free(node);
  }
}

}  // namespace

std::span<const Workload> cache_workloads() {
  static constexpr Workload kAll[] = {{"cache-scratch", cache_scratch},
                                      {"cache-thrash", cache_thrash},
                                      {"list-walk", list_walk},
                                      {"graph-walk", graph_walk}};
  return kAll;
}

}  // namespace bm::bench

// walk.c: how well do objects handed out after churn lie in memory? Keep 2n objects, replace 8n at random, free a random half, then
// build a list of n objects and walk it in allocation order, touching each. Prints "walk <size> <n> <ns per object>"; size 0: 16..256.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
struct node {
  struct node* next;
  uint64_t count;
};
static uint64_t x = 88172645463325252ull;
static uint64_t rnd(void) {
  x ^= x << 13;
  x ^= x >> 7;
  return x ^= x << 17;
}
static size_t pick(size_t size) { return size ? size : 16 + rnd() % 241; }
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static double walk(size_t size, size_t n) {
  void** kept = calloc(2 * n, sizeof *kept);
  for (size_t i = 0; i < 2 * n; i++) kept[i] = malloc(pick(size));
  for (size_t i = 0; i < 8 * n; i++) {
    size_t k = rnd() % (2 * n);
    free(kept[k]);
    kept[k] = malloc(pick(size));
  }
  for (size_t left = n; left;) {
    size_t k = rnd() % (2 * n);
    if (kept[k]) free(kept[k]), kept[k] = 0, left--;
  }
  struct node *head = 0, **tail = &head;
  for (size_t i = 0; i < n; i++) {
    struct node* p = malloc(pick(size));
    *p = (struct node){0, 0};
    *tail = p, tail = &p->next;
  }
  double best = 1e18;
  for (int r = 0; r < 3; r++) {
    size_t rounds = 1000000 / n;
    double t = now();
    for (size_t k = 0; k < rounds; k++)
      for (struct node* p = head; p; p = p->next) p->count++;
    t = (now() - t) / (double)(rounds * n);
    if (t < best) best = t;
  }
  for (struct node *p = head, *next; p; p = next) next = p->next, free(p);
  for (size_t i = 0; i < 2 * n; i++) free(kept[i]);
  free(kept);
  return best;
}

int main(void) {
  const size_t sizes[] = {16, 64, 256, 0}, counts[] = {1000, 10000, 100000};
  for (int s = 0; s < 4; s++)
    for (int c = 0; c < 3; c++) printf("walk %zu %zu %.2f\n", sizes[s], counts[c], walk(sizes[s], counts[c]));
}

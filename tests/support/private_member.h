// private_member.h: reaches a private member for tests that damage derived state on purpose.  layer: tests
// Explicit instantiation is the one place where the language does not check access. Use, in namespace bm::test:
//   struct IntentOf { using Owner = pages::Zone; friend void* member(IntentOf, pages::Zone&); };
//   template struct PrivateMember<IntentOf, &pages::Zone::intent_>;
#pragma once

namespace bm::test {

template <class Tag, auto Member>
struct PrivateMember {
  friend void* member(Tag, typename Tag::Owner& owner) { return &(owner.*Member); }
};

}  // namespace bm::test

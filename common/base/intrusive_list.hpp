// SPDX-License-Identifier: MIT
// IntrusiveList: a doubly linked list whose links are members of its elements, which are owned elsewhere. No
// operation allocates, and an element leaves from the middle in constant time.
#pragma once

#include <functional>

namespace weft {

template <class T>
struct ListLinks {
  T* previous = nullptr;
  T* next = nullptr;
};

/// `Links`: a `ListLinks<T> T::*`, or a function from an element to its ListLinks.
template <class T, auto Links>
class IntrusiveList {
 public:
  bool empty() const { return first_ == nullptr; }
  T* front() const { return first_; }  // null: empty
  T* back() const { return last_; }
  static T* after(const T& element) { return std::invoke(Links, element).next; }
  static T* before(const T& element) { return std::invoke(Links, element).previous; }

  /// Inserts `element` before `next`, or at the end if that is null. REQUIRES: it is in no list by these
  /// links.
  void insert(T* next, T& element) {
    T* previous = next != nullptr ? before(*next) : last_;
    std::invoke(Links, element) = {previous, next};
    (previous != nullptr ? std::invoke(Links, *previous).next : first_) = &element;
    (next != nullptr ? std::invoke(Links, *next).previous : last_) = &element;
  }
  void push_back(T& element) { insert(nullptr, element); }
  void push_front(T& element) { insert(first_, element); }

  /// REQUIRES: `element` is in this list.
  void remove(T& element) {
    ListLinks<T>& links = std::invoke(Links, element);
    (links.previous != nullptr ? std::invoke(Links, *links.previous).next : first_) = links.next;
    (links.next != nullptr ? std::invoke(Links, *links.next).previous : last_) = links.previous;
    links = {};
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace weft

// SPDX-License-Identifier: MIT
// LazyContainer: a container that is nearly always empty and lazily allocated. Before its first use, empty()
// reads only the pointer, so an empty container costs no further cache line.
#pragma once

#include <cstddef>
#include <memory>

namespace weft {

template <class Container>
class LazyContainer {
 public:
  bool empty() const { return !content_ || content_->empty(); }
  std::size_t size() const { return content_ ? content_->size() : 0; }
  void clear() { content_.reset(); }
  void erase(const typename Container::key_type& key) {
    if (content_) content_->erase(key);
  }
  template <class Predicate>
  void erase_if(Predicate predicate) {
    if (content_) std::erase_if(*content_, predicate);
  }

  /// Read access.
  const Container& operator*() const {
    static const Container kNothing;
    return content_ ? *content_ : kNothing;
  }
  const Container* operator->() const { return &**this; }
  /// Write access; allocates the container.
  Container& edit() {
    if (!content_) content_ = std::make_unique<Container>();
    return *content_;
  }

 private:
  std::unique_ptr<Container> content_;
};

}  // namespace weft

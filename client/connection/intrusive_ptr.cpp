// SPDX-License-Identifier: MIT
#include "weft/detail/intrusive_ptr.hpp"

namespace weft::detail {

void RefCounted::end() noexcept {
  if (offset_ == 0) {
    delete this;
    return;
  }
  auto* const block = reinterpret_cast<Block*>(reinterpret_cast<char*>(this) - offset_);
  this->~RefCounted();
  block->release(1);
}

}  // namespace weft::detail

// SPDX-License-Identifier: MIT
#include "common/wire/messages.hpp"

#include <utility>

namespace weft::wire {

Message::Message() = default;
Message::Message(const Message& other) = default;
Message::Message(Message&& other) noexcept = default;
Message& Message::operator=(const Message& other) = default;
Message& Message::operator=(Message&& other) noexcept = default;
Message::~Message() = default;

bool operator==(const Message& a, const Message& b) {
  return static_cast<const AnyMessage&>(a) == static_cast<const AnyMessage&>(b);
}

}  // namespace weft::wire

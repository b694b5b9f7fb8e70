// SPDX-License-Identifier: MIT
// The encoding of a value by plain msgpack-c, without Weft.
#pragma once

#include <msgpack.hpp>

template <class T>
T through_plain_msgpack(const T& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  T back;
  msgpack::unpack(buffer.data(), buffer.size()).get().convert(back);
  return back;
}

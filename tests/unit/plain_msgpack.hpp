// SPDX-License-Identifier: MIT
// Packs a value with msgpack-c alone, to compare with Weft's encoding.
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

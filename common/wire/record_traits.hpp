// SPDX-License-Identifier: MIT
// What encoding and decoding of records have in common.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "common/wire/layout.hpp"
#include "weft/detail/byte_buffer.hpp"
#include "weft/detail/msgpack_writer.hpp"

namespace weft::wire {

using detail::ByteBuffer;
using BufferWriter = detail::MsgpackWriter<ByteBuffer&>;
using ReservedWriter = detail::MsgpackWriter<detail::ReservedRoom>;

template <class T>
inline constexpr bool kIsId = false;
template <std::size_t N>
inline constexpr bool kIsId<OpaqueId<N>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;

using Amounts = std::map<std::string, double>;
using Texts = std::map<std::string, std::string>;

/// The minor versions of the reader (`own`) and of the writer (`peer`).
struct Minors {
  std::uint8_t own = kMinor;
  std::uint8_t peer = kMinor;
};

// Of a million records a second nearly all have only the required fields, all of them small except the
// payload. The size of such a record is bounded, so it is written and read with a single bounds check.

/// The maximum size of the required fields of T, without the content of an inline payload; 0: unbounded.
template <class T>
consteval std::size_t bytes_max_of() {
  if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool> || std::unsigned_integral<T>) {
    return detail::kTokenBytesMax;
  } else if constexpr (kIsId<T>) {
    return 2 + sizeof(T);
  } else if constexpr (std::is_same_v<T, Payload>) {
    return 1 + bytes_max_of<Uuid>() + bytes_max_of<BlobId>() + detail::kTokenBytesMax;
  } else if constexpr (HasLayout<T>) {
    std::size_t sum = 1;
    bool bounded = kRequiredFields<T> < 16;
    for_each_description<T>([&](const auto& field) {
      using F = typename std::remove_cvref_t<decltype(field)>::Type;
      if (field.is_optional) return;
      bounded = bounded && bytes_max_of<F>() > 0;
      sum += bytes_max_of<F>();
    });
    return bounded ? sum : 0;
  } else {
    return 0;
  }
}

}  // namespace weft::wire

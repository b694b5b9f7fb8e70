// SPDX-License-Identifier: MIT
// Which values can be arguments and results, and how they are encoded.
//
// Serialisable are arithmetic types, enums, std::string, std::vector, array, deque, list, (multi)set,
// (multi)map and their unordered variants, optional (also nested), variant, monostate, pair, tuple, complex,
// chrono durations and system_clock time points, structs with MSGPACK_DEFINE(members...) or
// MSGPACK_DEFINE_MAP(members...) in their public part, aggregates (structs of 1 to 32 public members, without
// constructors and bases), and every type with a weft::adaptor, in any combination. Vectors and arrays of
// numbers, enums, bytes, and of trivially copyable structs without padding whose members are all sent in
// order, are copied as raw bytes. A member that MSGPACK_DEFINE does not list is not sent.
//
// Not serialisable are types that point elsewhere (pointers, views, iterators, references, smart pointers),
// functions, and classes whose members are unknown. The compiler rejects each with a sentence that says why.
#pragma once

#include <string>
#include <string_view>

#include "weft/detail/byte_buffer.hpp"
#include "weft/detail/shape.hpp"
#include "weft/detail/type_name.hpp"
#include "weft/detail/value_reader.hpp"
#include "weft/detail/value_writer.hpp"
#include "weft/error.hpp"

namespace weft {

/// Whether values of T can be sent to another process. Checks all standard types, aggregates and adaptors
/// recursively; the members of a struct with MSGPACK_DEFINE are only checked when it is written or read.
template <class T>
concept serialisable = detail::travels<T>();

namespace detail {

inline constexpr std::size_t kEncodedBytesMax = UINT32_MAX;

/// Throws Error when `bytes` exceed the maximum of 4 GiB.
inline ByteBuffer&& checked_size(ByteBuffer&& bytes) {
  if (bytes.size() > kEncodedBytesMax) throw Error("a value of more than 4 GiB cannot be sent: split it");
  return std::move(bytes);
}

/// Encodes `value` as msgpack. Throws Error when it is too large.
template <class T>
ByteBuffer encode(const T& value) {
  ByteBuffer out;
  ValueWriter(out).write(value);
  return checked_size(std::move(out));
}

/// Decodes `bytes`. Throws Error, with a sentence, on anything unexpected: another type or size, a number out
/// of range, bytes left over.
template <class T>
T decode(std::string_view bytes) {
  try {
    ValueReader reader(bytes);
    auto value = reader.make<T>();
    if (!reader.at_end()) throw Error(std::to_string(reader.remaining()) + " bytes are left over");
    return value;
  } catch (const Error& error) {
    throw Error("these bytes are not a " + type_name<T>() + ": " + error.what());
  }
}

/// decode() for the result of a task, where void is nil.
template <class R>
R decode_result(std::string_view bytes) {
  if constexpr (std::is_void_v<R>) {
    static_cast<void>(decode<std::monostate>(bytes));
  } else {
    return decode<R>(bytes);
  }
}

// ---- for plain msgpack: definitions for detail/msgpack.hpp ----

template <class T>
T convert_object(const msgpack::object& object) {
  require_travels<T>();
  msgpack::sbuffer bytes;
  msgpack::pack(bytes, object);
  try {
    return decode<T>(std::string_view(bytes.data(), bytes.size()));
  } catch (const Error&) {
    throw msgpack::type_error();
  }
}
template <class Stream, class T>
void pack_value(msgpack::packer<Stream>& packer, const T& value) {
  const ByteBuffer bytes = detail::encode(value);
  // the bytes are msgpack already
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}
template <class T>
void replace_by_object(const msgpack::object& object, T& value) {
  detail::replace(value, convert_object<T>(object));
}

}  // namespace detail
}  // namespace weft

// SPDX-License-Identifier: MIT
// Which values can be arguments and results, and how they become bytes.
//
// What travels: arithmetic types, enums, std::string, std::vector, array, deque, list, (multi)set,
// (multi)map and their unordered kin, optional (nested too), variant, monostate, pair, tuple, complex,
// chrono durations and system_clock time points, structs with MSGPACK_DEFINE(members...) or
// MSGPACK_DEFINE_MAP(members...) in their public part, aggregates (structs of 1 to 32 public members, without
// constructors and bases) as they are, and every type with a weft::adaptor, all in any combination. Vectors
// and arrays of numbers, enums, bytes, and of trivially copyable structs whose members are sent in order and
// leave no byte over, travel as the bytes that they are. A member that MSGPACK_DEFINE does not name stays
// here.
//
// What does not: anything that points (pointers, views, iterators, references, smart pointers),
// functions, and classes that say nothing about their members. Each is refused with a sentence.
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

/// True when values of T can travel to another process. Recursive through all standard types, aggregates and
/// adaptors; a struct counts as soon as it has MSGPACK_DEFINE, its members are checked when it is written or
/// read.
template <class T>
concept serialisable = detail::travels<T>();

namespace detail {

inline constexpr std::size_t kEncodedBytesMax = UINT32_MAX;

/// Throws Error when `bytes` are more than can travel in one piece (4 GiB).
inline ByteBuffer&& checked_size(ByteBuffer&& bytes) {
  if (bytes.size() > kEncodedBytesMax)
    throw Error("a value of more than 4 GiB cannot travel: send it in pieces");
  return std::move(bytes);
}

/// `value` as msgpack. Throws Error when it is too large.
template <class T>
ByteBuffer encode(const T& value) {
  ByteBuffer out;
  ValueWriter(out).write(value);
  return checked_size(std::move(out));
}

/// The value that `bytes` are. Throws Error with a sentence when they are anything else: another type,
/// another size, a number out of range, bytes left over.
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

/// decode() for the result of a task: void is nil.
template <class R>
R decode_result(std::string_view bytes) {
  if constexpr (std::is_void_v<R>) {
    static_cast<void>(decode<std::monostate>(bytes));
  } else {
    return decode<R>(bytes);
  }
}

// ---- for plain msgpack, what detail/msgpack.hpp declares ----

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
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));  // they are msgpack already
}
template <class T>
void replace_by_object(const msgpack::object& object, T& value) {
  detail::replace(value, convert_object<T>(object));
}

}  // namespace detail
}  // namespace weft

// SPDX-License-Identifier: MIT
// Raw elements: element types of which a vector is sent as one copy of its memory, because all of these bytes
// belong to values and none is padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "weft/detail/refusal.hpp"

namespace weft::detail {

template <class T>
inline constexpr bool is_raw_leaf = (std::is_arithmetic_v<T> && !std::is_same_v<T, bool> &&
                                     !std::is_same_v<T, long double>) ||
                                    std::is_enum_v<T>;
template <>
inline constexpr bool is_raw_leaf<std::complex<float>> = true;
template <>
inline constexpr bool is_raw_leaf<std::complex<double>> = true;

template <class T>
inline constexpr bool may_be_raw = false;
/// Whether T consists of these members without padding: their sizes add up.
template <class T, class... M>
consteval bool consists_of(Types<M...>) {
  return (may_be_raw<M> && ...) && (sizeof(M) + ...) == sizeof(T) && fills<T>();
}

/// Whether values of T can be raw, judged by the type. A struct with MSGPACK_DEFINE is decided by
/// is_raw(value), since the types of its members are not accessible.
template <class T>
requires(!Adapted<T> &&
         (is_raw_leaf<T> || (std::is_trivially_copyable_v<T> &&
                             shape_of<T> == Shape::record))) inline constexpr bool may_be_raw<T> = true;
template <class T>
requires(std::is_trivially_copyable_v<T>&& shape_of<T> ==
         Shape::aggregate) inline constexpr bool may_be_raw<T> =
    consists_of<T>(typename Description<T>::Parts{});
template <class T, std::size_t N>
inline constexpr bool may_be_raw<std::array<T, N>> = N > 0 && may_be_raw<T>;
template <class T, std::size_t N>
inline constexpr bool may_be_raw<T[N]> = may_be_raw<T>;

template <class T>
bool is_raw(const T& value);

/// A "packer" for a struct's msgpack_pack that checks whether the members cover the struct: raw, in order,
/// and without gaps. A gap is either padding, which may hold old memory content, or a member that
/// MSGPACK_DEFINE does not list; neither may be sent.
class RawProbe {
 public:
  explicit RawProbe(const void* begin) : next_(static_cast<const char*>(begin)) {}

  void pack_array(std::uint32_t) {}
  void pack_map(std::uint32_t) { keys_ = true; }
  template <class M>
  void pack(const M& member) {
    if (keys_ && std::exchange(key_next_, !key_next_)) return;
    if constexpr (may_be_raw<M>) {
      reach(&member);
      raw_ = raw_ && detail::is_raw(member);
      next_ += sizeof(M);
    } else {
      raw_ = false;
    }
  }

  /// Whether the members have covered everything up to `end`.
  bool covered(const void* end) {
    reach(end);
    return raw_;
  }

 private:
  void reach(const void* address) {
    raw_ = raw_ && address == next_;
    next_ = static_cast<const char*>(address);
  }

  const char* next_;  // where the next member is expected
  bool raw_ = true;
  bool keys_ = false;
  bool key_next_ = true;
};

template <class T>
bool is_raw(const T& value) {
  if constexpr (is_raw_leaf<T>) {
    return true;
  } else if constexpr (shape_of<T> == Shape::fixed) {
    return detail::is_raw(value[0]);
  } else if constexpr (shape_of<T> == Shape::aggregate) {
    return detail::visit_members(value,
                                 [](const auto&... member) { return (detail::is_raw(member) && ...); });
  } else {
    RawProbe probe(&value);
    value.msgpack_pack(probe);
    return probe.covered(&value + 1);
  }
}

}  // namespace weft::detail

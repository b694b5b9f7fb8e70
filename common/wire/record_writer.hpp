// SPDX-License-Identifier: MIT
// Encodes values with a Layout as msgpack. field.hpp has the rules by which records grow.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "common/wire/enumerations.hpp"
#include "common/wire/record_traits.hpp"
#include "weft/detail/byte_buffer.hpp"
#include "weft/detail/msgpack_writer.hpp"

namespace weft::wire {

// ---- how many fields are written ----

/// A T whose fields have their defaults.
template <class T>
const T& defaults() {
  static const T kDefaults{};
  return kDefaults;
}

/// The tail of a forwarded record.
template <Forwarded T>
Tail tail_of(const T& value) {
  if constexpr (requires { value.payload; }) {
    return value.payload.tail();
  } else {
    return value.tail;
  }
}
template <class T>
bool has_tail(const T& value) {
  if constexpr (!Forwarded<T>) {
    return false;
  } else if constexpr (requires { value.payload; }) {
    return value.payload.has_tail();
  } else {
    return !value.tail.empty();
  }
}

/// The number of required fields plus the optional ones up to the last that differs from its default. Without
/// the tail.
template <HasLayout T>
std::size_t fields_to_write(const T& value) {
  static_assert(is_ordered<T>(), "required fields come first, optional ones in the order of their minors");
  if constexpr (kRequiredFields<T> == kFieldCount<T>) {
    return kFieldCount<T>;
  } else {
    std::size_t count = 0;
    std::size_t needed = kRequiredFields<T>;
    for_each_description<T>([&](const auto& field) {
      ++count;
      if (field.is_optional && !(value.*field.member == defaults<T>().*field.member)) needed = count;
    });
    return needed;
  }
}

// ---- writing ----

template <class Out, class T>
void write(Out& out, const T& value);

template <class Out>
void write_rare_payload(Out& out, const Payload& payload) {
  if (payload.is_blob()) {
    const BlobRef ref = payload.blob();
    out.array(3);
    write(out, ref.holder);
    write(out, ref.id);
    write(out, ref.size);
  } else {
    const std::string_view bytes = payload.inline_bytes();
    out.binary(bytes.data(), bytes.size());
  }
}
template <class Out>
[[gnu::always_inline]] inline void write_payload(Out& out, const Payload& payload) {
  if (!payload.is_plain()) return write_rare_payload(out, payload);
  out.binary_of(payload.size());
  out.copy_of(payload.bytes());
}

/// Writes the first `count` fields.
template <class Out, HasLayout T>
void write_first(Out& out, const T& value, std::size_t count) {
  [[maybe_unused]] std::size_t index = 0;
  for_each_field(value, [&](const auto& field) {
    if (kRequiredFields<T> == kFieldCount<T> || index++ < count) write(out, field);
  });
}

template <class Out, HasLayout T>
void write_fields(Out& out, const T& value) {
  if (has_tail(value)) {
    if constexpr (Forwarded<T>) {
      const Tail tail = tail_of(value);
      const std::size_t before = kRequiredFields<T> + tail.behind;
      out.array(before + tail.fields);
      write_first(out, value, before);
      out.raw(tail.bytes.data(), tail.bytes.size());
    }
    return;
  }
  const std::size_t count = fields_to_write(value);
  out.array(count);
  write_first(out, value, count);
}

template <class Out, class T>
void write(Out& out, const T& value) {
  if constexpr (std::is_enum_v<T>) {
    out.unsigned_integer(static_cast<std::uint8_t>(value));
  } else if constexpr (kIsId<T>) {
    out.binary(value.bytes.data(), value.bytes.size());
  } else if constexpr (std::is_same_v<T, Bytes>) {
    out.binary(value.view().data(), value.size());
  } else if constexpr (std::is_same_v<T, Payload>) {
    write_payload(out, value);
  } else if constexpr (HasLayout<T>) {
    write_fields(out, value);
  } else if constexpr (kIsVector<T>) {
    out.array(value.size());
    for (const auto& element : value) write(out, element);
  } else if constexpr (std::is_same_v<T, Amounts>) {
    out.map(value.size());
    for (const auto& [name, amount] : value) {
      out.text(name);
      out.floating(amount);
    }
  } else if constexpr (std::is_same_v<T, Texts>) {
    out.map(value.size());
    for (const auto& [name, text] : value) {
      out.text(name);
      out.text(text);
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.text(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    out.boolean(value);
  } else if constexpr (std::is_signed_v<T>) {
    out.integer(value);
  } else {
    out.unsigned_integer(value);
  }
}

/// Total size of the inline payloads in `value`.
template <class T>
std::size_t payload_bytes(const T& value) {
  std::size_t bytes = 0;
  if constexpr (std::is_same_v<T, Payload>) {
    if (!value.is_blob()) bytes = value.is_plain() ? value.size() : value.inline_bytes().size();
  } else if constexpr (HasLayout<T>) {
    for_each_field(value, [&](const auto& field) { bytes += payload_bytes(field); });
  }
  return bytes;
}

/// Whether write_quickly() can write `value`.
template <HasLayout T>
bool is_quick(const T& value) {
  return bytes_max_of<T>() > 0 && !has_tail(value) && fields_to_write(value) == kRequiredFields<T>;
}
/// The number of bytes that write_quickly() needs.
template <HasLayout T>
std::size_t room_for(const T& value) {
  return bytes_max_of<T>() + payload_bytes(value) + Bytes::kSpare;
}

// Inlined: as calls, for each field of each record, they would take a third of the time of encoding.
template <class T>
[[gnu::always_inline]] inline void write_inlined(ReservedWriter& out, const T& value) {
  if constexpr (std::is_same_v<T, Payload>) {
    write_payload(out, value);
  } else {
    write(out, value);
  }
}
template <HasLayout T, std::size_t... I>
[[gnu::always_inline]] inline void write_required(ReservedWriter& out, const T& value,
                                                  std::index_sequence<I...>) {
  (write_inlined(out, value.*std::get<I>(Layout<T>::fields).member), ...);
}
/// Writes `value` and returns where it ends. REQUIRES: is_quick(value), and room_for(value) bytes at `to`.
template <HasLayout T>
char* write_quickly(char* to, const T& value) {
  ReservedWriter out{detail::ReservedRoom(to)};
  out.array(kRequiredFields<T>);
  write_required(out, value, std::make_index_sequence<kRequiredFields<T>>{});
  return out.out().end();
}

/// Appends `value` to `out`.
template <class T>
void append(ByteBuffer& out, const T& value) {
  if constexpr (HasLayout<T>) {
    if constexpr (bytes_max_of<T>() > 0) {
      if (is_quick(value)) return out.end_at(write_quickly(out.room(room_for(value)), value));
    }
  }
  BufferWriter writer(out);
  write(writer, value);
}

}  // namespace weft::wire

// SPDX-License-Identifier: MIT
// Encodes values with a Layout as msgpack, and decodes them: the frames of codec.cpp, messages to runners,
// and the entries of the broker's journal. field.hpp has the rules by which records grow.
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
#include "common/wire/layout.hpp"
#include "weft/detail/byte_buffer.hpp"
#include "weft/detail/msgpack_reader.hpp"
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

// ---- reading ----

/// A reader that knows the versions of both sides.
class RecordReader : public detail::MsgpackReader {
 public:
  explicit RecordReader(std::string_view bytes, Minors minors = {})
      : detail::MsgpackReader(bytes), minors_(minors) {}
  std::uint8_t own_minor() const { return minors_.own; }
  /// The writer may know fields and values that this side does not.
  bool from_newer() const { return minors_.peer > minors_.own; }

 private:
  Minors minors_;
};

template <class T>
void read(RecordReader& in, T& value);

template <class E>
void read_enumeration(RecordReader& in, E& value) {
  const auto number = in.integer<std::uint64_t>();
  value = number < known_values<E>() ? static_cast<E>(number) : E::unknown;
  if (value == E::unknown && !in.from_newer()) in.fail("a known value of an enumeration");
}

inline void read_payload(RecordReader& in, Payload& value) {
  if (!in.array_is_next()) {
    const std::string_view bytes = in.binary();
    if (bytes.size() > kInlineBytesMax) in.exactly("at most a payload of", kInlineBytesMax, bytes.size());
    value = Payload(bytes);
    return;
  }
  BlobRef ref;
  in.array_of(3);
  read(in, ref.holder);
  read(in, ref.id);
  read(in, ref.size);
  value = Payload(ref);
}

/// Reads the fields after those that this side knows.
template <HasLayout T>
void read_surplus(RecordReader& in, T& value, std::size_t fields) {
  const char* const begin = in.next();
  for (std::size_t i = 0; i < fields && in.ok(); ++i) in.skip();
  if (!in.ok()) return;
  if constexpr (Forwarded<T>) {
    // The broker that forwarded the record may be older than the record's writer.
    const auto known = fields_known<T>(in.own_minor());
    const Tail tail{static_cast<std::uint32_t>(fields),
                    static_cast<std::uint32_t>(known - kRequiredFields<T>), std::string(begin, in.next())};
    if constexpr (requires { value.payload; }) {
      value.payload = value.payload.with_tail(tail);
    } else {
      value.tail = tail;
    }
  } else if (Closed<T> || !in.from_newer()) {
    in.exactly("an array of", kFieldCount<T>, kFieldCount<T> + fields);
  }
}

template <HasLayout T>
void read_fields(RecordReader& in, T& value) {
  const std::size_t count = in.array();
  if (count < kRequiredFields<T>) return in.exactly("an array of", kRequiredFields<T>, count);
  const std::size_t known = std::min(count, fields_known<T>(in.own_minor()));
  std::size_t index = 0;
  for_each_field(value, [&](auto& field) {
    if (index++ < known) read(in, field);
  });
  if (count > known) read_surplus(in, value, count - known);
}
template <class T>
void read(RecordReader& in, T& value) {
  if constexpr (std::is_enum_v<T>) {
    read_enumeration(in, value);
  } else if constexpr (kIsId<T>) {
    const std::string_view bytes = in.binary();
    if (bytes.size() == value.bytes.size()) {
      std::memcpy(value.bytes.data(), bytes.data(), sizeof value.bytes);
    } else {
      in.exactly("bytes, namely", value.bytes.size(), bytes.size());
    }
  } else if constexpr (std::is_same_v<T, Bytes>) {
    value = Bytes(in.binary());
  } else if constexpr (std::is_same_v<T, Payload>) {
    read_payload(in, value);
  } else if constexpr (HasLayout<T>) {
    read_fields(in, value);
  } else if constexpr (kIsVector<T>) {
    const std::size_t count = in.array();
    // No reserve(): a few bytes of input could announce many large elements.
    for (std::size_t i = 0; i < count && in.ok(); ++i) read(in, value.emplace_back());
  } else if constexpr (std::is_same_v<T, Amounts>) {
    const std::size_t count = in.map();
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
      const std::string name(in.text());
      value[name] = in.floating();
    }
  } else if constexpr (std::is_same_v<T, Texts>) {
    const std::size_t count = in.map();
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
      const std::string name(in.text());
      value[name] = in.text();
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = in.text();
  } else if constexpr (std::is_same_v<T, bool>) {
    value = in.boolean();
  } else {
    value = in.integer<T>();
  }
}

/// The fast path: reads the encoding that write_quickly() writes. Other encodings of the same value are valid
/// but rare; they make ok() false. Inlined, so that its state stays in registers.
class QuickReader {
 public:
  /// REQUIRES: for the T that is read, bytes_max_of<T>() bytes are readable from the beginning of `bytes`.
  explicit QuickReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  bool ok() const { return ok_; }
  const char* next() const { return next_; }

  template <class T>
  [[gnu::always_inline]] void read(T& value) {
    if constexpr (std::is_enum_v<T>) {
      const std::uint64_t number = integer();
      ok_ = ok_ && number < known_values<T>();
      value = static_cast<T>(number);
    } else if constexpr (std::is_same_v<T, bool>) {
      const std::uint8_t tag = byte();
      ok_ = ok_ && (tag == 0xc2 || tag == 0xc3);
      value = tag == 0xc3;
    } else if constexpr (std::unsigned_integral<T>) {
      const std::uint64_t number = integer();
      ok_ = ok_ && number <= std::numeric_limits<T>::max();
      value = static_cast<T>(number);
    } else if constexpr (kIsId<T>) {
      ok_ = ok_ && byte() == 0xc4 && byte() == sizeof(T);
      std::memcpy(value.bytes.data(), next_, sizeof(T));
      next_ += sizeof(T);
    } else if constexpr (std::is_same_v<T, Payload>) {
      ok_ = ok_ && byte() == 0xc4;  // blobs, and payloads above 255 bytes, take the slow path
      const std::size_t size = byte();
      ok_ = ok_ && static_cast<std::ptrdiff_t>(size) <= end_ - next_;
      if (!ok_) return;
      value = Payload(std::string_view(next_, size));
      next_ += size;
    } else {
      ok_ = ok_ && byte() == (0x90 | kRequiredFields<T>);
      read_fields(value, std::make_index_sequence<kRequiredFields<T>>{});
    }
  }

 private:
  template <class T, std::size_t... I>
  [[gnu::always_inline]] void read_fields(T& value, std::index_sequence<I...>) {
    (read(value.*std::get<I>(Layout<T>::fields).member), ...);
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(*next_++); }
  [[gnu::always_inline]] std::uint64_t integer() {
    const std::uint8_t tag = byte();
    if (tag < 0x80) return tag;
    ok_ = ok_ && tag >= 0xcc && tag <= 0xcf;
    const unsigned bytes = 1U << (tag & 3);
    std::uint64_t value = 0;
    std::memcpy(&value, next_, sizeof value);  // may read beyond the number
    next_ += bytes;
    return detail::big_endian(value) >> (64 - 8 * bytes);
  }

  const char* next_;
  const char* end_;
  bool ok_ = true;
};

/// Reads a record, on the fast path if possible.
template <HasLayout T>
[[gnu::always_inline]] inline void read_record(RecordReader& in, T& value) {
  if constexpr (bytes_max_of<T>() > 0) {
    if (in.remaining() >= bytes_max_of<T>()) {
      QuickReader quick({in.next(), in.remaining()});
      quick.read(value);
      if (quick.ok()) return in.skip_to(quick.next());
      value = T{};
    }
  }
  read_fields(in, value);
}

}  // namespace weft::wire

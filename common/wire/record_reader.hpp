// SPDX-License-Identifier: MIT
// Decodes msgpack into values with a Layout. field.hpp has the rules by which records grow.
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
#include "weft/detail/msgpack_reader.hpp"

namespace weft::wire {

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

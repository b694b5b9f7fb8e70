// SPDX-License-Identifier: MIT
// Values with a Layout to msgpack and back. codec.cpp makes messages of them, the broker's journal
// its records.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <msgpack.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "common/layout.hpp"
#include "common/msgpack_reader.hpp"
#include "common/text_builder.hpp"

namespace weft::wire {

template <class T>
inline constexpr bool kIsId = false;
template <std::size_t N>
inline constexpr bool kIsId<OpaqueId<N>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;

// ---- writing ----

using Writer = msgpack::packer<TextBuilder>;

/// Writes what msgpack::packer would, for records, of which there are a million a second: the small fields
/// are put together where there is room for all of them. The bytes of the payload, which comes last, follow
/// from where they are.
class RecordWriter {
 public:
  explicit RecordWriter(char* room) : end_(room) {}
  char* end() const { return end_; }

  void pack_array(std::uint32_t size) { byte(static_cast<std::uint8_t>(0x90 | size)); }
  void pack_uint8(std::uint8_t value) { pack(value); }
  void pack(bool value) { byte(value ? 0xc3 : 0xc2); }
  template <std::unsigned_integral T>
  void pack(T value) {
    if (value < 0x80) return byte(static_cast<std::uint8_t>(value));
    pack_wide(value);
  }
  void pack_bin(std::uint32_t size) {
    if (size <= UINT8_MAX) return tagged(0xc4, static_cast<std::uint8_t>(size));
    if (size <= UINT16_MAX) return tagged(0xc5, static_cast<std::uint16_t>(size));
    tagged(0xc6, size);
  }
  void pack_bin_body(const char* data, std::uint32_t size) {
    std::memcpy(end_, data, size);
    end_ += size;
  }
  void append(const Bytes& bytes) { end_ = bytes.copy_to(end_); }

 private:
  void pack_wide(std::uint64_t value) {
    if (value <= UINT8_MAX) return tagged(0xcc, static_cast<std::uint8_t>(value));
    if (value <= UINT16_MAX) return tagged(0xcd, static_cast<std::uint16_t>(value));
    if (value <= UINT32_MAX) return tagged(0xce, static_cast<std::uint32_t>(value));
    tagged(0xcf, value);
  }
  void byte(std::uint8_t value) { *end_++ = static_cast<char>(value); }
  template <class T>
  void tagged(std::uint8_t tag, T value) {
    byte(tag);
    value = big_endian(value);
    std::memcpy(end_, &value, sizeof value);
    end_ += sizeof value;
  }

  char* end_;
};

template <class T>
consteval bool has_payload() {
  bool found = std::is_same_v<T, Payload>;
  if constexpr (HasLayout<T>)
    std::apply([&]<class... F>(F T::*...) { found = (has_payload<F>() || ...); }, Layout<T>::fields);
  return found;
}

/// The most bytes that a value of T takes beside its payload, which is its last field if it has one; 0: it
/// may take any number, or RecordWriter has no words for it.
template <class T>
consteval std::size_t bytes_max_of() {
  if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool> || std::unsigned_integral<T>) {
    return 9;
  } else if constexpr (kIsId<T>) {
    return 2 + sizeof(T);
  } else if constexpr (std::is_same_v<T, Payload>) {
    return 1 + bytes_max_of<Uuid>() + bytes_max_of<BlobId>() + 9;
  } else if constexpr (HasLayout<T>) {
    std::size_t sum = 5;
    bool bounded = true;
    bool ended = false;
    const auto add = [&]<class F>(F T::*) {
      bounded = bounded && bytes_max_of<F>() > 0 && !ended;
      ended = has_payload<F>();
      sum += bytes_max_of<F>();
    };
    std::apply([&](auto... member) { (add(member), ...); }, Layout<T>::fields);
    return bounded && kFieldCount<T> < 16 ? sum : 0;
  } else {
    return 0;
  }
}

template <class Out>
void put_binary(Out& out, const void* data, std::size_t size) {
  out.pack_bin(static_cast<std::uint32_t>(size));
  out.pack_bin_body(static_cast<const char*>(data), static_cast<std::uint32_t>(size));
}

/// Nine bytes, always: msgpack-c's own pack_double() turns 1.0 into the integer 1.
template <class Out>
void put_real(Out& out, double number) {
  const auto bits = std::bit_cast<std::uint64_t>(number);
  char text[9] = {static_cast<char>(0xcb)};
  for (int i = 0; i < 8; ++i) text[1 + i] = static_cast<char>(bits >> (56 - 8 * i));
  out.pack_bin_body(text, sizeof text);  // raw: adds nothing of its own
}

template <class Out, class T>
void put(Out& out, const T& value) {
  if constexpr (std::is_enum_v<T>) {
    out.pack_uint8(static_cast<std::uint8_t>(value));
  } else if constexpr (kIsId<T>) {
    put_binary(out, value.bytes.data(), value.bytes.size());
  } else if constexpr (std::is_same_v<T, Bytes>) {
    put_binary(out, value.view().data(), value.size());
  } else if constexpr (std::is_same_v<T, Payload>) {
    if (value.is_blob()) {
      const BlobRef ref = value.blob();
      out.pack_array(3);
      put(out, ref.holder);
      put(out, ref.id);
      put(out, ref.size);
    } else if constexpr (std::is_same_v<Out, RecordWriter>) {
      out.pack_bin(static_cast<std::uint32_t>(value.size()));  // the bytes follow
    } else {
      put(out, value.bytes());
    }
  } else if constexpr (HasLayout<T>) {
    out.pack_array(static_cast<std::uint32_t>(kFieldCount<T>));
    for_each_field(value, [&](const auto& field) { put(out, field); });
  } else if constexpr (kIsVector<T>) {
    out.pack_array(static_cast<std::uint32_t>(value.size()));
    for (const auto& element : value) put(out, element);
  } else if constexpr (std::is_same_v<T, std::map<std::string, double>>) {
    out.pack_map(static_cast<std::uint32_t>(value.size()));
    for (const auto& [name, number] : value) {
      out.pack(name);
      put_real(out, number);
    }
  } else {
    out.pack(value);  // bool, integers, std::string
  }
}

/// That of the payload in `value`; nullptr: it has none.
inline const Bytes* inline_payload_of(const Payload& payload) {
  return payload.is_blob() ? nullptr : &payload.bytes();
}
template <class T>
const Bytes* inline_payload_of(const T& value) {
  const Bytes* found = nullptr;
  if constexpr (HasLayout<T>)
    for_each_field(value, [&](const auto& field) { found = inline_payload_of(field); });
  return found;
}

/// The room that put_record() needs.
template <class T>
std::size_t record_bytes_max(const T& value) {
  const Bytes* const payload = inline_payload_of(value);
  return bytes_max_of<T>() + (payload != nullptr ? payload->size() : 0) + Bytes::kSpare;
}
/// Writes `value` and returns where it ends. REQUIRES: bytes_max_of<T>() > 0.
template <class T>
char* put_record(char* to, const T& value) {
  RecordWriter out(to);
  put(out, value);
  if (const Bytes* const payload = inline_payload_of(value)) out.append(*payload);
  return out.end();
}

/// Appends `value` to `text`.
template <class T>
void put_text(TextBuilder& text, const T& value) {
  if constexpr (HasLayout<T> && bytes_max_of<T>() > 0) {
    text.end_at(put_record(text.room(record_bytes_max(value)), value));
  } else {
    Writer out(text);
    put(out, value);
  }
}

// ---- reading ----

inline void get(MsgpackReader& in, std::string& value) { value = in.string(); }
inline void get(MsgpackReader& in, bool& value) { value = in.boolean(); }
inline void get(MsgpackReader& in, Bytes& value) { value = Bytes(in.binary()); }

template <std::unsigned_integral T>
void get(MsgpackReader& in, T& value) {
  const std::uint64_t number = in.unsigned_number();
  if (number > std::numeric_limits<T>::max()) in.fail();
  value = static_cast<T>(number);
}

template <std::signed_integral T>
void get(MsgpackReader& in, T& value) {
  const std::int64_t number = in.signed_number();
  if (number > std::numeric_limits<T>::max() || number < std::numeric_limits<T>::min()) in.fail();
  value = static_cast<T>(number);
}

template <class T>
requires std::is_enum_v<T>
void get(MsgpackReader& in, T& value) {
  const std::uint64_t number = in.unsigned_number();
  if (number > last_of(T{})) in.fail();
  value = static_cast<T>(number);
}

template <std::size_t N>
void get(MsgpackReader& in, OpaqueId<N>& value) {
  const std::string_view text = in.binary();
  if (text.size() != N) {
    in.fail();
    return;
  }
  std::memcpy(value.bytes.data(), text.data(), N);
}

inline void get(MsgpackReader& in, Payload& value) {
  if (!in.array_is_next()) {
    const std::string_view bytes = in.binary();
    if (bytes.size() > kInlineBytesMax) in.fail();
    value = Payload(bytes);
    return;
  }
  BlobRef ref;
  if (in.array() != 3) in.fail();
  get(in, ref.holder);
  get(in, ref.id);
  get(in, ref.size);
  value = Payload(ref);
}

inline void get(MsgpackReader& in, std::map<std::string, double>& value) {
  const std::size_t count = in.map();
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const std::string name(in.string());
    value[name] = in.real();
  }
}

template <HasLayout T>
void get(MsgpackReader& in, T& value);

template <class T>
void get(MsgpackReader& in, std::vector<T>& value) {
  const std::size_t count = in.array();
  // Not reserved: a few bytes of input could name many large elements.
  for (std::size_t i = 0; i < count && in.ok(); ++i) get(in, value.emplace_back());
}

template <HasLayout T>
void get(MsgpackReader& in, T& value) {
  if (!in.array_of(kFieldCount<T>)) return;
  for_each_field(value, [&](auto& field) { get(in, field); });
}

/// Reads what RecordWriter writes. That all the fields but the payload, which is the last, are there is asked
/// once, before; what was written in another way, which is allowed and rare, is not ok here.
class RecordReader {
 public:
  /// REQUIRES: bytes_max_of<T>() bytes can be read from its begin on, of the T that is read.
  explicit RecordReader(std::string_view text) : next_(text.data()), end_(text.data() + text.size()) {}
  bool ok() const { return ok_; }
  const char* next() const { return next_; }

  /// Inlined, so that it is kept in registers.
  template <class T>
  [[gnu::always_inline]] void get(T& value) {
    if constexpr (std::is_enum_v<T>) {
      const std::uint64_t read = number();
      ok_ = ok_ && read <= last_of(T{});
      value = static_cast<T>(read);
    } else if constexpr (std::is_same_v<T, bool>) {
      const std::uint8_t tag = byte();
      ok_ = ok_ && (tag == 0xc2 || tag == 0xc3);
      value = tag == 0xc3;
    } else if constexpr (std::unsigned_integral<T>) {
      const std::uint64_t read = number();
      ok_ = ok_ && read <= std::numeric_limits<T>::max();
      value = static_cast<T>(read);
    } else if constexpr (kIsId<T>) {
      ok_ = ok_ && byte() == 0xc4 && byte() == sizeof(T);
      std::memcpy(value.bytes.data(), next_, sizeof(T));
      next_ += sizeof(T);
    } else if constexpr (std::is_same_v<T, Payload>) {
      ok_ = ok_ && byte() == 0xc4;
      const std::size_t size = byte();
      ok_ = ok_ && static_cast<std::ptrdiff_t>(size) <= end_ - next_;
      if (!ok_) return;
      value = Payload(std::string_view(next_, size));
      next_ += size;
    } else {
      ok_ = ok_ && byte() == (0x90 | kFieldCount<T>);
      for_each_field(value, [&](auto& field) { get(field); });
    }
  }

 private:
  std::uint8_t byte() { return static_cast<std::uint8_t>(*next_++); }
  std::uint64_t number() {
    const std::uint8_t tag = byte();
    if (tag < 0x80) return tag;
    ok_ = ok_ && tag >= 0xcc && tag <= 0xcf;
    const unsigned bytes = 1U << (tag & 3);
    std::uint64_t read = 0;
    std::memcpy(&read, next_, sizeof read);  // perhaps more than belongs to it
    next_ += bytes;
    return big_endian(read) >> (64 - 8 * bytes);
  }

  const char* next_;
  const char* end_;
  bool ok_ = true;
};

/// For records, of which there are a million a second.
template <HasLayout T>
void get_record(MsgpackReader& in, T& value) {
  if constexpr (bytes_max_of<T>() > 0) {
    if (in.remaining() >= bytes_max_of<T>()) {
      RecordReader quick({in.next(), in.remaining()});
      quick.get(value);
      if (quick.ok()) return in.skip_to(quick.next());
    }
  }
  get(in, value);
}

}  // namespace weft::wire

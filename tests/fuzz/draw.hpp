// SPDX-License-Identifier: MIT
// Draws any message of the protocol from the bytes of an Input, with ids from small spaces, so that messages
// refer to the same things. Every drawn message could have come over the wire.
#pragma once

#include <array>
#include <limits>
#include <type_traits>

#include "common/base/time.hpp"
#include "common/wire/enumerations.hpp"
#include "common/wire/layout.hpp"
#include "tests/fuzz/input.hpp"

namespace weft::fuzz {

inline constexpr std::uint64_t kEpoch = 7;

template <std::size_t N>
OpaqueId<N> id_of(std::size_t number) {
  OpaqueId<N> id;
  id.bytes.fill(static_cast<std::uint8_t>(number));
  return id;
}

/// One of four ids, the first of which belongs to no peer.
inline Uuid draw_uuid(Input& in) { return id_of<16>(in.below(4)); }

inline void draw(Input& in, std::string& value) { value = in.text(); }
inline void draw(Input& in, bool& value) { value = in.one_in(2); }
inline void draw(Input& in, Bytes& value) { value = Bytes(in.text()); }

template <std::integral T>
void draw(Input& in, T& value) {
  value = static_cast<T>(in.number());
}

template <class T>
requires std::is_enum_v<T>
void draw(Input& in, T& value) { value = static_cast<T>(in.below(wire::known_values<T>())); }

inline void draw(Input& in, Uuid& value) { value = draw_uuid(in); }
inline void draw(Input& in, BlobId& value) { value = id_of<32>(in.below(4)); }

inline void draw(Input& in, wire::Payload& value) {
  if (in.one_in(4)) {
    wire::BlobRef ref;
    draw(in, ref.holder);
    draw(in, ref.id);
    ref.size = in.one_in(4) ? in.number() : wire::kInlineBytesMax + 1 + in.below(3) * wire::kChunkBytes;
    value = wire::Payload(ref);
  } else {
    value = wire::Payload(in.text());
  }
}

inline void draw(Input& in, std::map<std::string, double>& value) {
  static constexpr double kAmounts[] = {0, 1, 0.5, 2, 1e6, 3, -1, std::numeric_limits<double>::infinity()};
  value.clear();
  for (std::size_t count = in.one_in(3) ? 1 + in.below(2) : 0; count > 0; --count) {
    const std::string name = in.text();
    value[name] = kAmounts[in.below(std::size(kAmounts))];
  }
}

inline void draw(Input& in, std::map<std::string, std::string>& value) {
  value.clear();
  for (std::size_t count = in.one_in(3) ? 1 + in.below(2) : 0; count > 0; --count) {
    const std::string name = in.text();
    value[name] = in.text();
  }
}

template <wire::HasLayout T>
void draw(Input& in, T& value);

template <class T>
void draw(Input& in, std::vector<T>& value) {
  value.clear();
  for (std::size_t count = in.below(4); count > 0; --count) draw(in, value.emplace_back());
}

template <wire::HasLayout T>
void draw(Input& in, T& value) {
  wire::for_each_field(value, [&](auto& field) { draw(in, field); });
}

/// A complete message of type M, with its records.
template <class M>
M draw_message(Input& in) {
  M message;
  draw(in, message);
  if constexpr (wire::Batch<M>) draw(in, message.*wire::Layout<M>::records);
  return message;
}

template <std::size_t... I>
wire::Message draw_any(Input& in, std::size_t index, std::index_sequence<I...>) {
  wire::Message message;
  ((I == index ? void(message = draw_message<std::variant_alternative_t<I, wire::AnyMessage>>(in)) : void()),
   ...);
  return message;
}

/// A message with type number `index` + 1.
inline wire::Message draw_any(Input& in, std::size_t index) {
  return draw_any(in, index, std::make_index_sequence<std::variant_size_v<wire::AnyMessage>>{});
}
inline wire::Message draw_any(Input& in) {
  return draw_any(in, in.below(std::variant_size_v<wire::AnyMessage>));
}

/// What a peer of a newer version may send: values of enumerations that this version does not know, and
/// fields behind those of a record that is passed on.
template <class T>
void make_newer(Input& in, T& value) {
  if constexpr (std::is_enum_v<T>) {
    if (in.one_in(4)) value = T::unknown;
  } else if constexpr (std::is_same_v<T, wire::Payload>) {
    if (in.one_in(4)) value = value.with_tail({1, 0, "\x07"});
  } else if constexpr (wire::HasLayout<T>) {
    wire::for_each_field(value, [&](auto& field) { make_newer(in, field); });
    if constexpr (wire::Batch<T>) make_newer(in, value.*wire::Layout<T>::records);
  } else if constexpr (requires {
                         typename T::value_type;
                         value.front();
                       }) {
    if constexpr (wire::HasLayout<typename T::value_type>) {
      for (auto& element : value) make_newer(in, element);
    }
  }
}

/// Draws the version of a peer, nearly always this one. For a newer version, adds new values and fields to
/// `message`.
inline std::uint8_t draw_minor(Input& in, wire::Message& message) {
  if (!in.one_in(16)) return wire::kMinor;
  if (in.one_in(2)) return 0;
  std::visit([&](auto& m) { make_newer(in, m); }, message);
  return wire::kMinor + 1;
}

/// A spec as a program defines it: most fields have their defaults, some are drawn.
inline wire::TaskSpec draw_spec(Input& in) {
  wire::TaskSpec spec;
  if (in.one_in(8)) {
    draw(in, spec);
    return spec;
  }
  draw(in, spec.kind);
  spec.function = "f";
  spec.signature = "long(long)";
  if (spec.kind == wire::TaskKind::program) spec.program = {"program", id_of<32>(1 + in.below(3)), 1000};
  spec.priority = static_cast<std::int32_t>(in.below(3));
  spec.retries = static_cast<std::uint32_t>(in.below(3));
  spec.retry_delay_ms = in.one_in(3) ? in.number() * 100 : 0;
  spec.timeout_ms = in.one_in(3) ? in.number() * 100 : 0;
  spec.queue_timeout_ms = in.one_in(3) ? in.number() * 1000 : 0;
  spec.crash_limit = static_cast<std::uint32_t>(in.below(4));
  spec.detach = in.one_in(8);
  if (in.one_in(8)) spec.directory = "/d";
  draw(in, spec.resources);
  if (in.one_in(4)) draw(in, spec.workers);
  if (in.one_in(4)) draw(in, spec.prefer);
  return spec;
}

/// The time to the next event: zero, a moment, or longer than some timeout.
inline Duration draw_pause(Input& in) {
  static constexpr std::array<std::int64_t, 10> kMicroseconds = {
      0, 1, 100, 1'000, 20'000, 100'000, 500'000, 1'100'000, 3'100'000, 11'000'000};
  return Duration(kMicroseconds[in.below(kMicroseconds.size())]);
}

}  // namespace weft::fuzz

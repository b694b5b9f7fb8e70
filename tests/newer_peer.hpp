// SPDX-License-Identifier: MIT
// How a peer of the next minor version would encode a message: every record that can grow has one field more.
#pragma once

#include <string>

#include "common/wire/record_codec.hpp"

namespace weft::wire {

inline constexpr std::uint8_t kNewerMinor = kMinor + 1;

/// The field that such a peer appends, as msgpack: the text "newer".
inline const std::string kNewerField = "\xa5newer";

/// Whether the peer creates the message, and appends its field to every record that can grow, or passes
/// records on as a broker does: forwarded records then stay as they are.
enum class Origin : std::uint8_t { own, forwarded };

template <class T>
void write_newer(BufferWriter& out, const T& value, Origin origin) {
  if constexpr (HasLayout<T>) {
    const bool adds = !Closed<T> && !(Forwarded<T> && origin == Origin::forwarded);
    if (!adds) return write(out, value);
    out.array(kFieldCount<T> + 1);
    for_each_field(value, [&](const auto& field) { write_newer(out, field, origin); });
    out.raw(kNewerField.data(), kNewerField.size());
  } else if constexpr (kIsVector<T>) {
    out.array(value.size());
    for (const auto& element : value) write_newer(out, element, origin);
  } else {
    write(out, value);
  }
}

/// The frame of `message` as a peer of kNewerMinor sends it.
inline std::string encode_newer(const Message& message, Origin origin = Origin::own) {
  ByteBuffer frame("WEFT");
  const char rest[] = {static_cast<char>(kMajor), static_cast<char>(kNewerMinor),
                       static_cast<char>(message.index() + 1), '\0'};
  frame.append(rest, sizeof rest);
  std::visit(
      [&]<class M>(const M& m) {
        BufferWriter out(frame);
        write_newer(out, m, origin);
        if constexpr (Batch<M>) {
          for (const auto& record : m.*Layout<M>::records) write_newer(out, record, origin);
        }
      },
      message);
  return frame.take();
}

}  // namespace weft::wire

// SPDX-License-Identifier: MIT
// Payload: the opaque part of a task or result, which the broker moves without interpreting it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.hpp"
#include "weft/ids.hpp"

namespace weft::wire {

inline constexpr std::size_t kInlineBytesMax = 64 << 10;  // a larger payload is sent as a blob

/// Where the bytes of a blob can be fetched: from the client session or worker incarnation `holder`.
struct BlobRef {
  Uuid holder;
  BlobId id;
  std::uint64_t size = 0;
  bool operator==(const BlobRef&) const = default;
};

/// Fields that a newer minor version has appended to a record, as received. This side does not know their
/// meaning, and forwards them with the record.
struct Tail {
  std::uint32_t fields = 0;
  std::uint32_t behind = 0;  // number of known optional fields before the tail
  std::string bytes;         // msgpack, one value for each field
  bool empty() const { return fields == 0; }
  bool operator==(const Tail&) const = default;
};

/// Inline bytes, or a reference to a blob; and, rarely, the tail of the record that contained it. The tail is
/// stored here because it goes wherever the payload goes, and so that records without a tail pay nothing for
/// it.
class Payload {
 public:
  Payload() = default;
  explicit Payload(Bytes bytes) : bytes_(std::move(bytes)) { bytes_.set_marks(0); }
  explicit Payload(std::string_view bytes) : bytes_(bytes) {}
  explicit Payload(const BlobRef& ref);

  bool is_blob() const { return (bytes_.marks() & kBlob) != 0; }
  /// The bytes of an inline payload; valid until this object is changed or moved. REQUIRES: !is_blob().
  std::string_view inline_bytes() const;
  /// REQUIRES: is_blob().
  BlobRef blob() const;

  /// Inline and without a tail, as nearly all payloads are: bytes() is then the inline bytes.
  bool is_plain() const { return bytes_.marks() == 0; }
  /// REQUIRES: is_plain().
  const Bytes& bytes() const { return bytes_; }

  bool has_tail() const { return (bytes_.marks() & kTail) != 0; }
  Tail tail() const;
  /// A copy with `tail` in place of its tail.
  Payload with_tail(const Tail& tail) const;
  /// For the final receiver, to which the tail means nothing.
  Payload without_tail() const { return has_tail() ? with_tail({}) : *this; }

  /// The size in this process, in bytes: not the size of the blob that is referred to.
  std::size_t size() const { return bytes_.size(); }

  friend bool operator==(const Payload& a, const Payload& b) {
    return a.bytes_.marks() == b.bytes_.marks() && a.bytes_ == b.bytes_;
  }

 private:
  // The marks of bytes_:
  static constexpr unsigned kBlob = 1;  // holder, id and size of a blob instead of inline bytes
  static constexpr unsigned kTail = 2;  // begins with a TailHead and the bytes of the tail

  /// The content after the tail.
  std::string_view content() const;

  Bytes bytes_;
};

}  // namespace weft::wire

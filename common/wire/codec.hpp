// SPDX-License-Identifier: MIT
// Encodes and decodes messages. A message is one ZeroMQ frame: an 8-byte header (magic "WEFT", major, minor,
// type, 0), then msgpack. Decoding trusts nothing: every size is checked, every byte must be accounted for,
// and memory use is bounded by the size of the frame.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/wire/messages.hpp"
#include "weft/detail/byte_buffer.hpp"

namespace weft::wire {

/// Encodes a whole frame. `own_minor` is the version that this side speaks; only the simulation, which has
/// peers of several versions, passes another one. REQUIRES: the result stays below kMessageBytesMax plus one
/// record, as Packer ensures.
std::string encode(const Message& message, std::uint8_t own_minor = kMinor);

/// Decodes a frame. The fault names the field, what was expected and what was found.
Result<Message> decode(std::string_view frame, std::uint8_t own_minor = kMinor);

/// The minor version of the sender of `frame`; 0 if it is not a Weft frame.
std::uint8_t minor_of(std::string_view frame);

/// If `frame` has a Weft header of another major version: a sentence that names both versions.
std::optional<std::string> version_mismatch(std::string_view frame);

/// The payload of an outcome other than ok. Long texts are truncated, so that it can be inline.
std::string encode_error(const ErrorInfo& info);
Result<ErrorInfo> decode_error(std::string_view bytes);

/// An essential field that a peer must know, and the minor version that added it.
struct Requirement {
  std::string_view field;
  std::uint8_t minor = 0;
};
/// The newest requirement of `spec` that a peer of version `minor` does not meet. Such a peer must never be
/// sent the spec.
std::optional<Requirement> required_beyond(const TaskSpec& spec, std::uint8_t minor);

/// The payload of an attached task: session and number of the detached task that it refers to.
std::string encode_ref(const TaskRef& task);
/// Returns an empty session when `bytes` is not such a payload.
TaskRef decode_ref(std::string_view bytes);

/// Coalesces messages for one peer: consecutive messages of the same kind share a frame of up to 64 KiB where
/// they can, and the order of messages stays. Whenever there is no more input, call take() until it returns
/// nothing: no message is held back for later.
class Packer {
 public:
  Packer() = default;
  /// `own_minor` as in encode().
  explicit Packer(std::uint8_t own_minor) : own_minor_(own_minor) {}

  void add(const Message& message);
  /// The next frame to send, or nullopt. Frames are in the order of add().
  std::optional<std::string> take();
  bool empty() const { return taken_ == frames_.size() && open_.empty(); }

 private:
  bool append_to_open(const Message& message);
  void close();

  std::uint8_t own_minor_ = kMinor;
  std::vector<std::string> frames_;
  std::size_t taken_ = 0;    // number of frames_ already returned by take()
  detail::ByteBuffer open_;  // the frame to which records can still be appended
  std::size_t open_records_ = 0;
  Message open_head_;            // the message in open_, without its records
  std::uint64_t open_next_ = 0;  // the number that the next record must have, for numbered batches
};

}  // namespace weft::wire

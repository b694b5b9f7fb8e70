// SPDX-License-Identifier: MIT
// Messages to bytes and back. A message is one ZeroMQ frame: an 8-byte header (magic "WEFT", major,
// minor, type, 0), then msgpack. Decoding trusts nothing: every size is checked, every byte must be
// accounted for, and memory use is bounded by the size of the frame.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/messages.hpp"
#include "common/result.hpp"
#include "weft/detail/byte_buffer.hpp"

namespace weft::wire {

/// The whole frame. `own_minor` is the version that this side speaks: another one only in the simulation,
/// which has peers of several versions. REQUIRES: the result stays below kMessageBytesMax plus one record;
/// Packer sees to that.
std::string encode(const Message& message, std::uint8_t own_minor = kMinor);

/// The message in `frame`, or what is wrong with it: which field, what was expected and what was found.
Result<Message> decode(std::string_view frame, std::uint8_t own_minor = kMinor);

/// The minor version of the side that wrote `frame`; 0 for a frame that is not Weft.
std::uint8_t minor_of(std::string_view frame);

/// When `frame` is a Weft header of another major version: a sentence that names both.
std::optional<std::string> version_mismatch(std::string_view frame);

std::string encode_error(const ErrorInfo& info);
Result<ErrorInfo> decode_error(std::string_view bytes);

/// An essential field that a peer would have to know, and the minor version that added it.
struct Requirement {
  std::string_view field;
  std::uint8_t minor = 0;
};
/// The newest requirement of `spec` that a peer of `minor` does not meet: it must never be sent the spec.
std::optional<Requirement> required_beyond(const TaskSpec& spec, std::uint8_t minor);

/// The payload of an attached task: session and number of the task that it stands for.
std::string encode_ref(const TaskRef& task);
/// With an empty session when `bytes` are no such payload.
TaskRef decode_ref(std::string_view bytes);

/// Packs messages for one peer: consecutive messages of one kind that can share a frame do, up to
/// 64 KiB. The order of messages is kept. Call take() until it returns nothing, whenever
/// there is no more input to wait for: nothing is held back.
class Packer {
 public:
  Packer() = default;
  /// For a side of another version, as encode().
  explicit Packer(std::uint8_t own_minor) : own_minor_(own_minor) {}

  void add(const Message& message);
  /// The next frame to send, or nullopt. Frames come in the order of add().
  std::optional<std::string> take();
  bool empty() const { return taken_ == frames_.size() && open_.empty(); }

 private:
  bool append_to_open(const Message& message);
  void close();

  std::uint8_t own_minor_ = kMinor;
  std::vector<std::string> frames_;
  std::size_t taken_ = 0;    // of frames_, already handed out
  detail::ByteBuffer open_;  // a frame that still takes records
  std::size_t open_records_ = 0;
  Message open_head_;            // its message without records
  std::uint64_t open_next_ = 0;  // number that the next record must have, for numbered batches
};

}  // namespace weft::wire

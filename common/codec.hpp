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
#include "common/text_builder.hpp"

namespace weft::wire {

/// The whole frame. REQUIRES: the result stays below kMessageBytesMax plus one record; split()
/// sees to that.
std::string encode(const Message& message);

/// The message in `frame`, or what is wrong with it.
Result<Message> decode(std::string_view frame);

/// When `frame` is a Weft header of another major version: a sentence that names both.
std::optional<std::string> version_mismatch(std::string_view frame);

std::string encode_error(const ErrorInfo& info);
/// What an attached task has for a payload.
std::string encode_ref(const TaskRef& task);
/// An empty session when it is none.
TaskRef decode_ref(std::string_view text);

Result<ErrorInfo> decode_error(std::string_view text);

/// Packs messages for one peer: consecutive messages of one kind that can share a frame do, up to
/// 64 KiB. The order of messages is kept. Call take() until it returns nothing, whenever
/// there is no more input to wait for: nothing is held back.
class Packer {
 public:
  void add(const Message& message);
  /// The next frame to send, or nullopt. Frames come in the order of add().
  std::optional<std::string> take();
  bool empty() const { return taken_ == frames_.size() && open_.empty(); }

 private:
  bool append_to_open(const Message& message);
  void close();

  std::vector<std::string> frames_;
  std::size_t taken_ = 0;  // of frames_, already handed out
  TextBuilder open_;       // a frame that still takes records
  std::size_t open_records_ = 0;
  Message open_head_;            // its message without records
  std::uint64_t open_next_ = 0;  // number that the next record must have, for numbered batches
};

}  // namespace weft::wire

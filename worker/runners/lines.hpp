// SPDX-License-Identifier: MIT
// A runner's output, split into lines of bounded length; the last lines are retained for TaskCrashed.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>

namespace weft::worker {

class LineSplitter {
 public:
  static constexpr std::size_t kLineBytesMax = 4096;

  /// Calls `sink(std::string_view)` for each complete line, and for each piece of a line that exceeds the
  /// maximum.
  template <class Sink>
  void feed(std::string_view text, Sink&& sink) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::size_t room = kLineBytesMax - open_.size();
      const std::size_t take = std::min(room, end == std::string_view::npos ? text.size() : end);
      open_.append(text.substr(0, take));
      text.remove_prefix(take);
      const bool complete = !text.empty() && text.front() == '\n';
      if (complete) text.remove_prefix(1);
      if (complete) {
        flush(sink, true);
      } else if (open_.size() == kLineBytesMax) {
        // Split before a UTF-8 character, not inside it.
        const std::size_t whole = kLineBytesMax - begun_character(open_);
        const std::string rest = open_.substr(whole);
        open_.resize(whole);
        flush(sink, false);
        open_ = rest;
      }
    }
  }
  /// Emits the last line if it has no newline.
  template <class Sink>
  void finish(Sink&& sink) {
    if (!open_.empty()) flush(sink, false);
  }

 private:
  /// Number of bytes at the end of `text` that begin an incomplete UTF-8 character; 0: none.
  static std::size_t begun_character(std::string_view text) {
    for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
      const auto byte = static_cast<unsigned char>(text[text.size() - back]);
      if ((byte & 0xc0) == 0x80) continue;
      const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      return length > back ? back : 0;
    }
    return 0;
  }

  template <class Sink>
  void flush(Sink&& sink, bool complete) {
    // The newline that ends a line which was split at the maximum is not an empty line.
    if (!(complete && open_.empty() && was_cut_)) sink(std::string_view(open_));
    was_cut_ = !complete;
    open_.clear();
  }

  std::string open_;
  bool was_cut_ = false;
};

/// The last lines, at most kLinesMax, of kBytesMax in total.
class Tail {
 public:
  static constexpr std::size_t kLinesMax = 50;
  static constexpr std::size_t kBytesMax = 4096;

  void add(std::string_view line) {
    lines_.emplace_back(line.substr(0, kBytesMax - 1));
    bytes_ += lines_.back().size() + 1;
    while (lines_.size() > kLinesMax || bytes_ > kBytesMax) {
      bytes_ -= lines_.front().size() + 1;
      lines_.pop_front();
    }
  }
  void clear() {
    lines_.clear();
    bytes_ = 0;
  }
  std::string text() const {
    std::string out;
    for (const std::string& line : lines_) out += (out.empty() ? "" : "\n") + line;
    return out;
  }

 private:
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;
};

}  // namespace weft::worker

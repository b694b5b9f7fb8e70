// SPDX-License-Identifier: MIT
// A runner's output: cut into lines of bounded length, and the last of them kept for TaskCrashed.
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace weft::worker {

class LineSplitter {
 public:
  static constexpr std::size_t kLineBytesMax = 4096;

  /// Calls `sink(std::string_view)` for every line that is complete, or as long as a line may be.
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
      if (complete || open_.size() == kLineBytesMax) flush(sink, complete);
    }
  }
  /// The line that has no end yet.
  template <class Sink>
  void finish(Sink&& sink) {
    if (!open_.empty()) flush(sink, false);
  }

 private:
  template <class Sink>
  void flush(Sink&& sink, bool complete) {
    // The end of a line that was cut at the bound is not a line of its own.
    if (!(complete && open_.empty() && was_cut_)) sink(std::string_view(open_));
    was_cut_ = !complete;
    open_.clear();
  }

  std::string open_;
  bool was_cut_ = false;
};

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

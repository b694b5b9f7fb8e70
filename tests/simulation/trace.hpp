// SPDX-License-Identifier: MIT
// Trace: what has happened in a world, in order. A hash covers every line, to compare two runs of one seed;
// the text of a line is only made if a reader wants it.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/time.hpp"

namespace weft::sim {

class Trace {
 public:
  enum class Text { none, tail, all };  // not stored, last lines stored, printed as they come

  explicit Trace(Text text, std::size_t tail_lines = 0) : text_(text), tail_lines_(tail_lines) {}

  /// `content`: the bytes that go into the hash; `make`: returns the text.
  template <class Make>
  void add(Time at, std::string_view node, std::string_view content, Make make) {
    mix(static_cast<std::uint64_t>(at.time_since_epoch().count()));
    mix(node);
    mix(content);
    if (text_ != Text::none) write(at, node, make());
  }
  template <class Make>
  void add(Time at, std::string_view node, Make make) {
    mix(static_cast<std::uint64_t>(at.time_since_epoch().count()));
    mix(node);
    if (text_ != Text::none) write(at, node, make());
  }

  void print_tail() const;
  /// Removes the stored lines and returns them.
  std::deque<std::string> take() { return std::exchange(tail_, {}); }
  std::uint64_t hash() const { return hash_; }

 private:
  void mix(std::uint64_t word) {
    hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 29;
  }
  void mix(std::string_view bytes) {
    mix(bytes.size());
    while (!bytes.empty()) {
      std::uint64_t word = 0;
      const std::size_t n = bytes.size() < 8 ? bytes.size() : 8;
      std::memcpy(&word, bytes.data(), n);
      mix(word);
      bytes.remove_prefix(n);
    }
  }
  void write(Time at, std::string_view node, const std::string& text);

  Text text_;
  std::size_t tail_lines_;
  std::deque<std::string> tail_;
  std::uint64_t hash_ = 1;
};

}  // namespace weft::sim

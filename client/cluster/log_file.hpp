// SPDX-License-Identifier: MIT
// LogFile: the log of a member. When it has reached its size, it becomes NAME.1.log (and that NAME.2.log) and
// begins again. Lines for which there is no space are dropped and counted; a line says so once there is.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd.hpp"

namespace weft::cluster {

class LogFile {
 public:
  static constexpr int kOlder = 2;              // files that are kept, and the current one
  static constexpr std::size_t kLastLines = 5;  // that last_lines() knows
  static constexpr std::size_t kLineMax = 500;  // bytes of each of them

  /// DIRECTORY/NAME.log; throws nothing: what cannot be opened is tried again.
  LogFile(const std::string& directory, const std::string& name, std::uint64_t size_max);

  /// What the member has written: any bytes, in any pieces.
  void write(std::string_view bytes);
  /// A line of the supervisor's, with the time of day in front.
  void note(const std::string& text);
  /// The last lines that the member itself has written since forget_lines().
  std::vector<std::string> last_lines() const;
  void forget_lines();

 private:
  void remember(std::string_view bytes);
  void append(std::string_view bytes);
  bool put(std::string_view bytes);
  bool reopen_if_needed();
  void rotate();
  std::string path(int age) const;

  std::string directory_;
  std::string name_;
  std::uint64_t size_max_;
  Fd file_;
  std::uint64_t dropped_ = 0;  // lines
  bool line_open_ = false;     // the last byte that is in the file is no newline
  std::deque<std::string> lines_;
  std::string partial_;  // the line that the member has begun
};

/// "2026-01-31 12:00:00.000", as the logs of broker and worker have it.
std::string time_of_day();

}  // namespace weft::cluster

// SPDX-License-Identifier: MIT
// LogFile: the log of a member. At its maximum size, NAME.log is rotated to NAME.1.log (and NAME.1.log to
// NAME.2.log). Lines for which there is no space are dropped; once there is space, a line says how many.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "common/system/fd.hpp"

namespace weft::cluster {

class LogFile {
 public:
  static constexpr int kOlder = 2;              // rotated files, in addition to the current one
  static constexpr std::size_t kLastLines = 5;  // complete lines that last_lines() returns
  static constexpr std::size_t kLineMax = 500;  // maximum bytes of each line that it returns

  /// Opens DIRECTORY/NAME.log. Does not throw: opening is retried at each write.
  LogFile(const std::string& directory, const std::string& name, std::uint64_t size_max);

  /// Appends output of the member: any bytes, in pieces of any size.
  void write(std::string_view bytes);
  /// Appends a line from the supervisor, with a time stamp.
  void note(const std::string& text);
  /// The last lines that the member has written since forget_lines(), with its unfinished line.
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
  std::uint64_t dropped_ = 0;  // number of lines dropped
  bool line_open_ = false;     // the last byte in the file is not a newline
  std::deque<std::string> lines_;
  std::string partial_;  // the member's unfinished line
};

/// "2026-01-31 12:00:00.000", the format in the logs of broker and worker.
std::string time_of_day();

}  // namespace weft::cluster

// SPDX-License-Identifier: MIT
// LogWriter: the log of a daemon, which never waits for the one who reads it. A thread of its own writes the
// lines, in order. What it cannot write in time (a stopped terminal, a pipe that nothing reads) or at all (a
// full disk) is dropped and counted; once writing works again, a line says how many lines are missing.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace weft {

class LogWriter {
 public:
  /// Lines that wait for the thread, at most: much more than a burst of output of tasks, while it is
  /// scheduled.
  static constexpr std::size_t kQueuedBytesMax = 8 << 20;
  /// How long the end of this object waits for what is still queued.
  static constexpr std::chrono::milliseconds kLastWords{500};

  /// `name` stands in front of the line about dropped ones. `fd` stays the caller's, and open while the
  /// process lives.
  LogWriter(int fd, std::string name);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// `lines` end in '\n'. From any thread; never waits for more than a copy.
  void write(std::string_view lines);

 private:
  struct State;

  std::shared_ptr<State> state_;  // also the thread's, which may be left behind in write(2)
  std::thread thread_;
};

}  // namespace weft

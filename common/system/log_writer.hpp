// SPDX-License-Identifier: MIT
// LogWriter: the log of a daemon, which never blocks the caller. A thread writes the lines, in order. Lines
// that cannot be written in time (a stopped terminal, a pipe that is not read) or at all (a full disk) are
// dropped and counted; once writing works again, a line says how many are missing.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace weft {

class LogWriter {
 public:
  /// Limit of the queue: much more than tasks print in a burst while the thread is not scheduled.
  static constexpr std::size_t kQueuedBytesMax = 8 << 20;
  /// How long the destructor waits for queued lines.
  static constexpr std::chrono::milliseconds kLastWords{500};

  /// `name` is the prefix of the line about dropped lines. `fd` is owned by the caller, and stays open while
  /// the process lives.
  LogWriter(int fd, std::string name);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Queues `lines`, which end in '\n'. Thread-safe; never takes longer than a copy.
  void write(std::string_view lines);

 private:
  struct State;

  std::shared_ptr<State> state_;  // shared with the thread, which may be left blocked in write(2)
  std::thread thread_;
};

}  // namespace weft

// SPDX-License-Identifier: MIT
// Where, when and how often each task was really executed: a task appends a line to a file when it starts,
// and the test reads the lines.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
#include <weft/this_task.hpp>

namespace weft::e2e {

using Clock = std::chrono::steady_clock;

struct Execution {
  long task = 0;
  std::string worker;
  Clock::time_point at;
};

/// Called in the task. write() of a short line with O_APPEND is atomic, whichever other process writes.
inline void note_execution(const std::string& file, long task) {
  const std::string line = std::to_string(task) + " " + this_task::worker() + " " +
                           std::to_string(Clock::now().time_since_epoch().count()) + "\n";
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool noted = fd >= 0 && write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(fd);
  if (!noted) throw std::runtime_error("cannot write " + file);
}

/// Called in the test: all executions in the order of their starts.
inline std::vector<Execution> executions_in(const std::string& file) {
  std::vector<Execution> all;
  std::ifstream lines(file);
  Clock::rep at = 0;
  for (Execution one; lines >> one.task >> one.worker >> at;) {
    one.at = Clock::time_point(Clock::duration(at));
    all.push_back(one);
  }
  return all;
}

/// The number of executions by task, without tasks that never started.
inline std::map<long, int> executions_of(const std::string& file) {
  std::map<long, int> times;
  for (const Execution& one : executions_in(file)) ++times[one.task];
  return times;
}

}  // namespace weft::e2e

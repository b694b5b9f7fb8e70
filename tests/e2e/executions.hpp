// SPDX-License-Identifier: MIT
// How often each task was really executed: a task leaves a line in a file when it starts, and the test
// counts them.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

namespace weft::e2e {

/// In the task. A short line with O_APPEND is written whole, whoever else writes.
inline void note_execution(const std::string& file, long task) {
  const std::string line = std::to_string(task) + "\n";
  const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool noted = fd >= 0 && write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(fd);
  if (!noted) throw std::runtime_error("cannot write " + file);
}

/// In the test: executions by task; those that never started are not in it.
inline std::map<long, int> executions_of(const std::string& file) {
  std::map<long, int> times;
  std::ifstream lines(file);
  for (long task = 0; lines >> task;) ++times[task];
  return times;
}

}  // namespace weft::e2e

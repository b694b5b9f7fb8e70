// SPDX-License-Identifier: MIT
#include "client/cluster/log_file.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace weft::cluster {

std::string time_of_day() {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%F %T}.{:03}", fmt::localtime(std::chrono::system_clock::to_time_t(now)), ms);
}

LogFile::LogFile(const std::string& directory, const std::string& name, std::uint64_t size_max)
    : directory_(directory), name_(name), size_max_(size_max) {
  reopen_if_needed();
}

std::string LogFile::path(int age) const {
  return fmt::format("{}/{}{}.log", directory_, name_, age == 0 ? "" : fmt::format(".{}", age));
}

void LogFile::write(std::string_view bytes) {
  remember(bytes);
  append(bytes);
}

void LogFile::note(const std::string& text) {
  append(fmt::format("{}{} cluster.sh: {}\n", line_open_ ? "\n" : "", time_of_day(), text));
}

void LogFile::remember(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    partial_ +=
        bytes.substr(0, std::min({end, bytes.size(), kLineMax - std::min(kLineMax, partial_.size())}));
    if (end == std::string_view::npos) return;
    if (lines_.size() == kLastLines) lines_.pop_front();
    lines_.push_back(std::exchange(partial_, {}));
    bytes.remove_prefix(end + 1);
  }
}

std::vector<std::string> LogFile::last_lines() const {
  std::vector<std::string> out(lines_.begin(), lines_.end());
  if (!partial_.empty()) out.push_back(partial_);
  return out;
}

void LogFile::forget_lines() {
  lines_.clear();
  partial_.clear();
}

void LogFile::append(std::string_view bytes) {
  if (dropped_ != 0) {
    const std::string missing =
        fmt::format("{}{} cluster.sh: {} could not be written here\n", line_open_ ? "\n" : "", time_of_day(),
                    dropped_ == 1 ? "1 line" : fmt::format("{} lines", dropped_));
    if (put(missing)) dropped_ = 0;
  }
  if (dropped_ != 0 || !put(bytes))
    dropped_ += static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

/// Writes to the file; false: not all bytes were written.
bool LogFile::put(std::string_view bytes) {
  if (!reopen_if_needed()) return false;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    line_open_ = bytes[static_cast<std::size_t>(written) - 1] != '\n';
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// Opens a new file if the current one was removed or, between two lines, is full. False: there is no file.
bool LogFile::reopen_if_needed() {
  struct stat status {};
  if (file_ && fstat(file_.get(), &status) == 0 && status.st_nlink > 0) {
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size < size_max_ || (line_open_ && size < 2 * size_max_)) return true;
    rotate();
  }
  file_.reset(open(path(0).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  line_open_ = false;
  return static_cast<bool>(file_);
}

void LogFile::rotate() {
  for (int age = kOlder; age > 0; --age) std::rename(path(age - 1).c_str(), path(age).c_str());
}

}  // namespace weft::cluster

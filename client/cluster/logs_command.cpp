// SPDX-License-Identifier: MIT
// `weft cluster logs`. Logs are treated as bytes, in any encoding.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <thread>

#include "client/cluster/commands.hpp"
#include "client/cluster/state_directory.hpp"

namespace weft::cluster {

namespace fs = std::filesystem;

namespace {

/// A log file: NAME.log, or an older NAME.1.log, NAME.2.log ...
struct LogName {
  std::string member;
  int age = 0;
  fs::path path;
};

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 7 && text.find_first_not_of("0123456789") == std::string::npos;
}

LogName name_from(const fs::path& path) {
  const std::string stem = path.stem().string();
  const std::size_t dot = stem.rfind('.');
  if (dot == std::string::npos || !is_number(stem.substr(dot + 1))) return {stem, 0, path};
  return {stem.substr(0, dot), std::stoi(stem.substr(dot + 1)), path};
}

/// Sorts worker-10 after worker-9.
std::pair<std::string, int> sort_key(const std::string& member) {
  const std::size_t dash = member.rfind('-');
  if (dash == std::string::npos || !is_number(member.substr(dash + 1))) return {member, 0};
  return {member.substr(0, dash), std::stoi(member.substr(dash + 1))};
}

/// All logs by member, oldest first.
std::vector<LogName> all_logs(const fs::path& directory) {
  std::vector<LogName> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error))
    if (entry.path().extension() == ".log") out.push_back(name_from(entry.path()));
  std::sort(out.begin(), out.end(), [](const LogName& a, const LogName& b) {
    return std::pair(sort_key(a.member), -a.age) < std::pair(sort_key(b.member), -b.age);
  });
  return out;
}

/// Whether the line begins with a time stamp, "2026-01-31 12:00:00.000 ".
bool has_time(const std::string& line) {
  constexpr std::string_view kShape = "dddd-dd-dd dd:dd:dd.ddd ";
  if (line.size() < kShape.size()) return false;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = line[i] >= '0' && line[i] <= '9';
    if (kShape[i] == 'd' ? !digit : line[i] != kShape[i]) return false;
  }
  return true;
}

void print_line(const std::string& member, const std::string& line) {
  const std::string text = member + " | " + line + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

/// The lines of a member, from its oldest log on. A line without a time stamp has the time of the line
/// before.
class MemberLog {
 public:
  MemberLog(std::string member, std::vector<fs::path> files)
      : member_(std::move(member)), files_(std::move(files)) {
    advance();
  }

  bool over() const { return over_; }
  const std::string& time() const { return time_; }
  void print_and_advance() {
    print_line(member_, line_);
    advance();
  }

 private:
  void advance() {
    while (!std::getline(file_, line_)) {
      over_ = next_ == files_.size();
      if (over_) return;
      file_ = std::ifstream(files_[next_++]);
    }
    if (has_time(line_)) time_ = line_.substr(0, 23);
  }

  std::string member_;
  std::vector<fs::path> files_;
  std::size_t next_ = 0;
  std::ifstream file_;
  std::string line_;
  std::string time_;
  bool over_ = false;
};

void print_merged(const fs::path& directory) {
  std::vector<std::unique_ptr<MemberLog>> logs;
  std::vector<fs::path> files;
  const std::vector<LogName> names = all_logs(directory);
  for (std::size_t i = 0; i < names.size(); ++i) {
    files.push_back(names[i].path);
    if (i + 1 < names.size() && names[i + 1].member == names[i].member) continue;
    logs.push_back(std::make_unique<MemberLog>(names[i].member, std::exchange(files, {})));
  }
  for (;;) {
    std::erase_if(logs, [](const auto& log) { return log->over(); });
    const auto earliest = std::min_element(
        logs.begin(), logs.end(), [](const auto& a, const auto& b) { return a->time() < b->time(); });
    if (earliest == logs.end()) return;
    (*earliest)->print_and_advance();
  }
}

/// Follows a log that grows, is truncated, or is rotated.
class Follower {
 public:
  explicit Follower(LogName name) : name_(std::move(name)) {}

  void print_new() {
    const bool moved = has_moved();
    read_rest();
    if (!moved) return;
    end_line();
    file_.reset();
    read_rest();
  }

 private:
  bool has_moved() const {
    struct stat open_one {};
    struct stat current {};
    return file_ && fstat(file_.get(), &open_one) == 0 && stat(name_.path.c_str(), &current) == 0 &&
           open_one.st_ino != current.st_ino;
  }

  void read_rest() {
    if (!file_) {
      file_.reset(open(name_.path.c_str(), O_RDONLY | O_CLOEXEC));
      at_ = 0;
    }
    struct stat status {};
    if (!file_ || fstat(file_.get(), &status) < 0) return;
    if (status.st_size < at_) at_ = 0;
    char bytes[1 << 16];
    ssize_t got = 0;
    bool any = false;
    while ((got = pread(file_.get(), bytes, sizeof bytes, at_)) > 0) {
      any = true;
      at_ += got;
      take(std::string_view(bytes, static_cast<std::size_t>(got)));
    }
    idle_ = any ? 0 : idle_ + 1;
    if (idle_ == kIdleTurns) end_line();
  }

  void take(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n') {
        print_line(name_.member, std::exchange(line_, {}));
      } else {
        line_ += c;
      }
    }
  }

  /// Prints an unfinished line.
  void end_line() {
    if (!line_.empty()) print_line(name_.member, std::exchange(line_, {}));
  }

  static constexpr int kIdleTurns = 10;

  LogName name_;
  Fd file_;
  off_t at_ = 0;
  std::string line_;
  int idle_ = 0;
};

/// Follows all logs, also of members that start later, until Ctrl-C.
[[noreturn]] void follow(const fs::path& directory) {
  std::map<std::string, Follower> followers;
  for (;;) {
    for (LogName& name : all_logs(directory))
      if (name.age == 0 && !followers.contains(name.member)) {
        const std::string member = name.member;
        followers.try_emplace(member, std::move(name));
      }
    for (auto& [member, follower] : followers) follower.print_new();
    std::fflush(stdout);
    std::this_thread::sleep_for(milliseconds(100));
  }
}

}  // namespace

int show_logs(bool follows) {
  const StateDirectory directory = StateDirectory::locate();
  if (!fs::is_directory(directory.logs()))
    throw Failed(fmt::format("there are no logs in {}", directory.root().string()));
  if (follows) follow(directory.logs());
  print_merged(directory.logs());
  return 0;
}

}  // namespace weft::cluster

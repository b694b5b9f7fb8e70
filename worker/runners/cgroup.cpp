// SPDX-License-Identifier: MIT
#include "worker/runners/cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

namespace weft::worker {

namespace {

std::string read_text(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

bool write_text(const std::string& path, const std::string& text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string each; words >> each;)
    if (each == word) return true;
  return false;
}

/// The number behind `name` in lines of "name number".
std::uint64_t number_of(const std::string& text, const std::string& name) {
  std::istringstream words(text);
  std::string each;
  for (std::uint64_t number = 0; words >> each >> number;)
    if (each == name) return number;
  return 0;
}

}  // namespace

std::unique_ptr<Cgroup> Cgroup::take_over(std::string& why, const std::string& mount,
                                          const std::string& self) {
  std::istringstream lines(read_text(self));
  std::string path;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::")) path = line.substr(3);
  const std::string directory = mount + (path == "/" ? "" : path);
  if (path.empty() || !has_word(read_text(directory + "/cgroup.controllers"), "memory")) {
    why = "there is no cgroup v2 with a memory controller";
    return nullptr;
  }
  if (access((directory + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    why = "the cgroup " + path + " is not delegated to this worker";
    return nullptr;
  }
  const std::string agent = directory + "/agent";
  const bool made = mkdir(agent.c_str(), 0755) == 0 || errno == EEXIST;
  if (!made || !write_text(agent + "/cgroup.procs", "0") ||
      !write_text(directory + "/cgroup.subtree_control", "+memory")) {
    write_text(directory + "/cgroup.procs", "0");
    rmdir(agent.c_str());
    why = "the cgroup " + path + " has other members than this worker";
    return nullptr;
  }
  return std::unique_ptr<Cgroup>(new Cgroup(directory));
}

Cgroup::~Cgroup() {
  for (const auto& [slot, kills] : kills_before_) rmdir(slot_directory(slot).c_str());
}

Fd Cgroup::enter_slot(std::uint32_t slot, std::uint64_t bytes_max) {
  const std::string directory = slot_directory(slot);
  if (mkdir(directory.c_str(), 0755) < 0 && errno != EEXIST) {
    throw std::system_error(errno, std::system_category(), "cannot make " + directory);
  }
  if (!write_text(directory + "/memory.max", std::to_string(bytes_max))) {
    throw std::system_error(errno, std::system_category(), "cannot limit the memory of " + directory);
  }
  write_text(directory + "/memory.swap.max", "0");   // missing without swap
  write_text(directory + "/memory.oom.group", "1");  // kill the task with everything that it has started
  write_text(directory + "/memory.peak", "0");       // reset, where the kernel supports it
  kills_before_[slot] = kills(slot);
  return checked(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "cannot open " + directory);
}

std::uint64_t Cgroup::kills(std::uint32_t slot) const {
  return number_of(read_text(slot_directory(slot) + "/memory.events"), "oom_kill");
}

std::optional<std::uint64_t> Cgroup::exceeded(std::uint32_t slot) const {
  const auto before = kills_before_.find(slot);
  if (before == kills_before_.end() || kills(slot) <= before->second) return std::nullopt;
  std::uint64_t bytes = 0;
  for (const char* name : {"/memory.peak", "/memory.max"}) {  // memory.peak exists since Linux 5.19
    std::istringstream(read_text(slot_directory(slot) + name)) >> bytes;
    if (bytes > 0) break;
  }
  return bytes;
}

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
#include "client/cluster/state_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace weft::cluster {

namespace fs = std::filesystem;

namespace {

fs::path choose_root() {
  if (const char* chosen = std::getenv("WEFT_STATE_DIR"); chosen != nullptr && *chosen != '\0')
    return fs::absolute(chosen);
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime != '\0' && fs::is_directory(runtime)) return fs::path(runtime) / "weft";
  return fmt::format("/tmp/weft-{}", getuid());
}

}  // namespace

StateDirectory StateDirectory::locate() {
  StateDirectory directory(choose_root());
  directory.check();
  return directory;
}

/// Refuses a directory that another user may write: the files there say which programs we run, which
/// processes we kill, and which files we overwrite.
void StateDirectory::check() const {
  struct stat status {};
  if (lstat(root_.c_str(), &status) < 0) return;
  if (!S_ISDIR(status.st_mode))
    throw std::runtime_error(fmt::format("{} is not a directory", root_.string()));
  if (status.st_uid != geteuid())
    throw std::runtime_error(fmt::format("{} belongs to another user", root_.string()));
  if ((status.st_mode & 07777) != 0700)
    throw std::runtime_error(
        fmt::format("others may enter {}: chmod 700 it, or set WEFT_STATE_DIR", root_.string()));
}

void StateDirectory::make() const {
  std::error_code error;
  if (!fs::exists(root_)) {
    const mode_t before = umask(077);
    fs::create_directories(root_, error);
    umask(before);
  }
  if (error) throw std::runtime_error(fmt::format("cannot make {}: {}", root_.string(), error.message()));
  check();
}

bool StateDirectory::has_cluster() const { return fs::is_directory(run()); }

Fd StateDirectory::lock() const {
  Fd file(open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file)
    throw std::runtime_error(fmt::format("cannot open {}: {}", root_.string(), std::strerror(errno)));
  constexpr int kTries = 1200;  // of 100 ms
  for (int i = 0; flock(file.get(), LOCK_EX | LOCK_NB) < 0; ++i) {
    if (i == 0)
      fmt::print(stderr, "cluster.sh: waiting for another cluster.sh that is changing this cluster\n");
    if (i == kTries)
      throw std::runtime_error(fmt::format("another cluster.sh holds the lock on {}", root_.string()));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return file;
}

std::string StateDirectory::read_state() const {
  std::ifstream file(run() / "cluster.json");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  if (text.empty())
    throw std::runtime_error(fmt::format("cannot read {}", (run() / "cluster.json").string()));
  return text;
}

bool StateDirectory::write(const std::string& name, const std::string& content) const {
  const fs::path path = run() / name;
  const fs::path fresh = run() / (name + ".new");
  {
    const Fd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const auto wanted = static_cast<ssize_t>(content.size());
    if (file && ::write(file.get(), content.data(), content.size()) == wanted &&
        std::rename(fresh.c_str(), path.c_str()) == 0)
      return true;
  }
  unlink(fresh.c_str());
  return false;
}

void StateDirectory::remove(const std::string& name) const { unlink((run() / name).c_str()); }

void StateDirectory::remove_run() const {
  std::error_code ignored;
  fs::remove_all(run(), ignored);
}

}  // namespace weft::cluster

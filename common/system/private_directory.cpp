// SPDX-License-Identifier: MIT
#include "common/system/private_directory.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace weft {

namespace fs = std::filesystem;

void require_private_directory(const std::string& path, const std::string& advice) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (mkdir(path.c_str(), 0700) == 0) return;
  if (errno != EEXIST)
    throw std::runtime_error(fmt::format("cannot make the directory {}: {}", path, std::strerror(errno)));
  struct stat status {};
  if (lstat(path.c_str(), &status) < 0 || !S_ISDIR(status.st_mode)) {
    throw std::runtime_error(fmt::format("{} is not a directory", path));
  }
  if (status.st_uid != geteuid()) {
    throw std::runtime_error(
        fmt::format("{} belongs to another user (uid {}): {}", path, status.st_uid, advice));
  }
  if ((status.st_mode & 077) != 0) {
    throw std::runtime_error(fmt::format("other users may enter {}: chmod 700 it, or {}", path, advice));
  }
}

}  // namespace weft

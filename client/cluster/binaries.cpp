// SPDX-License-Identifier: MIT
#include "client/cluster/binaries.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <vector>

namespace weft::cluster {

namespace fs = std::filesystem;

namespace {

bool has_programs(const fs::path& directory) {
  for (const char* name : {"weft", "weft-broker", "weft-worker"})
    if (access((directory / name).c_str(), X_OK) != 0) return false;
  return true;
}

}  // namespace

fs::path own_directory() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

std::string find_binaries(const fs::path& first) {
  if (const char* chosen = std::getenv("WEFT_BIN_DIR"); chosen != nullptr && *chosen != '\0') {
    if (has_programs(chosen)) return fs::absolute(chosen).lexically_normal().string();
    throw Failed(fmt::format("weft, weft-broker and weft-worker are not all in WEFT_BIN_DIR, {}", chosen));
  }
  std::vector<fs::path> candidates{first};
  std::istringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
  for (std::string directory; std::getline(path, directory, ':');) candidates.emplace_back(directory);
  for (const fs::path& candidate : candidates)
    if (has_programs(candidate)) return fs::absolute(candidate).lexically_normal().string();
  throw Failed(fmt::format(
      "weft, weft-broker and weft-worker are neither in {} nor on PATH; set WEFT_BIN_DIR", first.string()));
}

}  // namespace weft::cluster

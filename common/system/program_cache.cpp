// SPDX-License-Identifier: MIT
#include "common/system/program_cache.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <tuple>

#include "common/system/fd.hpp"

namespace weft {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPartSuffix = ".part";

std::vector<fs::path> entries_of(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> out;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    out.push_back(at->path());
  return out;
}

/// A descriptor that holds the lock on `path`; empty if a living process holds it.
Fd lock_of_the_dead(const fs::path& path) {
  Fd lock(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (lock && flock(lock.get(), LOCK_EX | LOCK_NB) < 0) lock.reset();
  return lock;
}

std::set<std::string> used_blobs(const fs::path& directory) {
  std::set<std::string> out;
  for (const fs::path& run : entries_of(directory / "run")) {
    if (lock_of_the_dead(run)) continue;
    for (const fs::path& used : entries_of(run / "used")) out.insert(used.filename().string());
  }
  return out;
}

std::string name_of(const fs::path& file) {
  std::string name;
  std::getline(std::ifstream(file), name);
  return name;
}

}  // namespace

std::string default_cache_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache == '/') return std::string(cache) + "/weft";
  const char* home = std::getenv("HOME");
  if (home && *home == '/' && access(home, W_OK) == 0) return std::string(home) + "/.cache/weft";
  return fmt::format("/tmp/weft-cache-{}", getuid());
}

std::vector<CachedFile> cached_files(const std::string& directory) {
  const fs::path root(directory);
  const std::set<std::string> used = used_blobs(root);
  std::vector<CachedFile> files;
  std::map<std::string, fs::file_time_type> latest;  // by name
  for (const fs::path& path : entries_of(root / "blobs")) {
    std::error_code error;
    CachedFile file;
    file.hash = path.filename().string();
    if (path.extension() == kPartSuffix || !fs::is_regular_file(path, error)) continue;
    file.bytes = fs::file_size(path, error);
    file.used = fs::last_write_time(path, error);
    if (error) continue;  // just removed by another worker
    file.name = name_of(root / "names" / file.hash);
    file.in_use = used.contains(file.hash);
    if (!file.name.empty()) {
      auto& last = latest.try_emplace(file.name, file.used).first->second;
      last = std::max(last, file.used);
    }
    files.push_back(std::move(file));
  }
  for (CachedFile& file : files) file.old_build = !file.name.empty() && file.used < latest.at(file.name);
  const auto rank = [](const CachedFile& file) { return std::tuple(!file.old_build, file.used, file.hash); };
  std::sort(files.begin(), files.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return files;
}

std::vector<CachedFile> trim_cache(const std::string& directory, std::uint64_t bytes_max,
                                   const std::string& kept) {
  std::vector<CachedFile> removed;
  std::uint64_t total = 0;
  std::vector<CachedFile> files = cached_files(directory);
  for (const CachedFile& file : files) total += file.bytes;
  for (CachedFile& file : files) {
    if (total <= bytes_max) break;
    if (file.in_use || file.hash == kept) continue;
    std::error_code error;
    if (!fs::remove(fs::path(directory) / "blobs" / file.hash, error)) continue;
    fs::remove(fs::path(directory) / "names" / file.hash, error);
    total -= file.bytes;
    removed.push_back(std::move(file));
  }
  return removed;
}

void remove_leftovers(const std::string& directory) {
  std::error_code ignored;
  for (const fs::path& run : entries_of(fs::path(directory) / "run"))
    if (lock_of_the_dead(run)) fs::remove_all(run, ignored);
  for (const fs::path& part : entries_of(fs::path(directory) / "blobs"))
    if (part.extension() == kPartSuffix && lock_of_the_dead(part)) fs::remove(part, ignored);
}

}  // namespace weft

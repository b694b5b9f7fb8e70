// SPDX-License-Identifier: MIT
// The cache directory that the workers of a user on this host share:
//
//   DIR/blobs/<hash>              complete
//   DIR/blobs/<hash>.part         being fetched by the worker that holds a lock (flock) on it
//   DIR/names/<hash>              the name of the program or library
//   DIR/run/<pid>-<name>/         directory of one worker, locked while it lives
//   DIR/run/<pid>-<name>/used/<hash>   exists while that worker uses the blob
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace weft {

/// The first that is usable of $XDG_CACHE_HOME/weft, ~/.cache/weft and /tmp/weft-cache-<uid>.
std::string default_cache_directory();

struct CachedFile {
  std::string hash;
  std::string name;  // "": unknown
  std::uint64_t bytes = 0;
  std::chrono::file_clock::time_point used{};  // when a worker last started to use it
  bool in_use = false;
  bool old_build = false;  // another file of the same name has been used later
};

/// In the order of eviction: old builds before the latest ones, and the least recently used first.
std::vector<CachedFile> cached_files(const std::string& directory);

/// Evicts files until at most `bytes_max` remain, but never a file in use or the file whose hash is `kept`.
/// Returns the evicted files.
std::vector<CachedFile> trim_cache(const std::string& directory, std::uint64_t bytes_max,
                                   const std::string& kept = "");

/// Removes the scratch directories and partially fetched files of dead workers.
void remove_leftovers(const std::string& directory);

}  // namespace weft

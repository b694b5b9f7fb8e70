// SPDX-License-Identifier: MIT
// The directory in which the workers of a user on this host keep programs and libraries, as all who look at
// it see it:
//
//   DIR/blobs/<hash>              complete
//   DIR/blobs/<hash>.part         being fetched by the worker that holds a lock (flock) on it
//   DIR/names/<hash>              the name of the program or library
//   DIR/run/<pid>-<name>/         directory of one worker, locked while it lives
//   DIR/run/<pid>-<name>/used/<hash>   there while that worker uses the blob
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace weft {

/// $XDG_CACHE_HOME/weft, ~/.cache/weft or /tmp/weft-cache-<uid>.
std::string default_cache_directory();

struct CachedFile {
  std::string hash;
  std::string name;  // "": not known
  std::uint64_t bytes = 0;
  std::chrono::file_clock::time_point used{};  // when a worker last began to use it
  bool in_use = false;
  bool old_build = false;  // one of the same name was used later
};

/// In the order in which they go when there is no room: old builds before the latest ones, of each those that
/// were used longest ago first.
std::vector<CachedFile> cached_files(const std::string& directory);

/// Removes what no worker uses: what makes the rest larger than `bytes_max`, and not the file `kept`. Returns
/// what was removed.
std::vector<CachedFile> trim_cache(const std::string& directory, std::uint64_t bytes_max,
                                   const std::string& kept = "");

/// Removes what workers that are dead have left: scratch directories, files that they had not fetched whole.
void remove_leftovers(const std::string& directory);

}  // namespace weft

// SPDX-License-Identifier: MIT
// `weft cache`: the programs that the workers of this host have cached on disk.
#pragma once

#include <string>

namespace weft::client {

/// One line for each program and library, the latest first.
std::string cache_list_text(const std::string& directory);
/// Removes the files that no worker uses. Returns a text that says how many were removed.
std::string clear_cache(const std::string& directory);

}  // namespace weft::client

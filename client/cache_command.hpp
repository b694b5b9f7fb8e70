// SPDX-License-Identifier: MIT
// `weft cache`: the programs that the workers of this host keep on disk.
#pragma once

#include <string>

namespace weft::client {

/// A line for each program and library, the latest first.
std::string cache_list_text(const std::string& directory);
/// Removes what no worker uses, and says what that was.
std::string clear_cache(const std::string& directory);

}  // namespace weft::client

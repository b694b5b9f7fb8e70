// SPDX-License-Identifier: MIT
// Directories that only the current user may enter.
#pragma once

#include <string>

namespace weft {

/// Creates `path` with its parents, or checks that it is a directory that belongs to this user and that no
/// other user may enter. Throws std::runtime_error whose text ends in `advice`, for example "choose another
/// --option".
void require_private_directory(const std::string& path, const std::string& advice);

}  // namespace weft

// SPDX-License-Identifier: MIT
// Folders that nobody else may enter.
#pragma once

#include <string>

namespace weft {

/// Makes `path` (and what is above it), or checks that it is a folder of ours that nobody else may
/// enter. Throws std::runtime_error with a sentence that ends in `advice`: "choose another --option".
void require_private_directory(const std::string& path, const std::string& advice);

}  // namespace weft

// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

namespace weft::cluster {

/// A request that could not be carried out.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The directory that contains weft, weft-broker and weft-worker: $WEFT_BIN_DIR, otherwise `first`, otherwise
/// one on $PATH. Throws Failed.
std::string find_binaries(const std::filesystem::path& first);
/// The directory of this program.
std::filesystem::path own_directory();

}  // namespace weft::cluster

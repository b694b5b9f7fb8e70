// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

namespace weft::cluster {

/// What was asked for could not be done.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The directory that has weft, weft-broker and weft-worker: $WEFT_BIN_DIR, else `first`, else one of $PATH.
/// Throws Failed.
std::string find_binaries(const std::filesystem::path& first);
/// Where this program is.
std::filesystem::path own_directory();

}  // namespace weft::cluster

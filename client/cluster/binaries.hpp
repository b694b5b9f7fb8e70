// SPDX-License-Identifier: MIT
// Where the programs weft, weft-broker and weft-worker are.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

namespace weft::cluster {

/// A command of `weft cluster` or `weft run` could not be carried out; the text says why.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The directory that contains weft, weft-broker and weft-worker: $WEFT_BIN_DIR, otherwise `first`, otherwise
/// a directory on $PATH. Throws Failed if these programs are not all there.
std::string find_binaries(const std::filesystem::path& first);
/// The directory of this program.
std::filesystem::path own_directory();

}  // namespace weft::cluster

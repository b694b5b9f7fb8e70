// SPDX-License-Identifier: MIT
// Creates journals, and salvages damaged ones. The file under the journal's name is always complete: after a
// crash during a salvage, either the old file is still there, or the next start finishes the salvage.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

/// Creates an empty journal `path`. Throws std::runtime_error with a sentence for people. REQUIRES: `path`
/// does not exist.
void make_journal(const std::string& path);

struct Salvaged {
  std::uint64_t kept = 0;      // whole rows, which are in the new journal
  std::uint64_t left_out = 0;  // lost rows, as far as their number is known
  std::string damaged;         // new name of the damaged file
};

/// Renames the damaged journal `path`, and puts a new journal with all its whole rows in its place. Throws
/// std::runtime_error with a sentence for people; then the damaged journal is unchanged.
Salvaged salvage_journal(const std::string& path);

/// Finishes a salvage that a crash interrupted before its last renames; does nothing if there is none.
/// Returns the new name of the damaged file, or "".
std::string finish_salvage(const std::string& path);

}  // namespace weft::broker

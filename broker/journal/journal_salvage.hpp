// SPDX-License-Identifier: MIT
// Makes an empty journal, or a new one from the whole rows of a damaged one. The file under the journal's
// name is always complete: after a crash on the way it is still the old file, or the next start finishes the
// job.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

/// Makes an empty journal `path`. REQUIRES: there is no such file. Throws std::runtime_error with a sentence.
void make_journal(const std::string& path);

struct Salvaged {
  std::uint64_t kept = 0;      // whole rows, which the new journal has
  std::uint64_t left_out = 0;  // rows that are missing or damaged, as far as that can be known
  std::string damaged;         // the damaged file's present name
};

/// Moves the damaged journal `path` aside and puts a new one with every whole row in its place. Throws
/// std::runtime_error with a sentence, and the damaged journal is then still in its place.
Salvaged salvage_journal(const std::string& path);

/// Finishes a salvage that was interrupted while files were being renamed. Returns the damaged file's present
/// name; "": no salvage was interrupted.
std::string finish_salvage(const std::string& path);

}  // namespace weft::broker

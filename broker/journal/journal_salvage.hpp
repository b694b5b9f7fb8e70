// SPDX-License-Identifier: MIT
// Making a journal, and making one of what is whole in a damaged one. What is under the journal's name is
// always complete: a crash in between leaves the old file, or is finished by the next start.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

/// An empty journal called `path`, where nothing is. Throws std::runtime_error with a sentence.
void make_journal(const std::string& path);

struct Salvaged {
  std::uint64_t kept = 0;      // rows
  std::uint64_t left_out = 0;  // that should have been there and are not whole, as far as that can be known
  std::string damaged;         // what the damaged file is called now
};

/// Moves the damaged journal `path` aside and puts a new one with every whole row in its place. Throws
/// std::runtime_error with a sentence; then all is as it was.
Salvaged salvage_journal(const std::string& path);

/// Goes on with a salvage that was interrupted when only names were to be changed. Returns what the damaged
/// file is called now.
std::string finish_salvage(const std::string& path);

}  // namespace weft::broker

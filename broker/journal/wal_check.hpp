// SPDX-License-Identifier: MIT
// SQLite reads its write-ahead log up to the first frame that is not whole and takes that frame for the end.
// After a power cut that is right; after damage, rows may follow that were reported as durable. These
// functions read the log as https://www.sqlite.org/fileformat2.html#the_write_ahead_log describes it, to
// distinguish the two.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

struct WalState {
  bool damaged = false;          // a whole commit follows the first frame that is not whole
  std::uint64_t torn_bytes = 0;  // at the end, of a commit that was not completed
};

/// Checks the write-ahead log `path`, which may be missing, of a database with pages of `page_size` bytes.
/// Throws std::system_error when the file cannot be read.
WalState check_wal(const std::string& path, std::uint32_t page_size);

/// For a salvage: writes every page that the log has, whole or not, to the database file `fd`. Throws
/// std::system_error.
void apply_wal(const std::string& path, std::uint32_t page_size, int fd);

}  // namespace weft::broker

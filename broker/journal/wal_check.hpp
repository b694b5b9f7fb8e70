// SPDX-License-Identifier: MIT
// SQLite reads its write-ahead log (WAL) up to the first frame that is not whole, and takes this frame for
// the end. After a power cut that is right; after damage, rows that clients were told are durable may follow.
// These functions read the WAL (https://www.sqlite.org/fileformat2.html#the_write_ahead_log) to tell a torn
// end from damage.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

struct WalState {
  bool damaged = false;          // a later commit follows the first frame that is not whole
  std::uint64_t torn_bytes = 0;  // bytes at the end that belong to no commit
};

/// Checks the WAL file `path`, which may be missing, of a database with pages of `page_size` bytes. Throws
/// std::system_error when the file cannot be read.
WalState check_wal(const std::string& path, std::uint32_t page_size);

/// For a salvage: writes every page of the WAL, even of frames that are not whole, to the database file `fd`.
/// Throws std::system_error.
void apply_wal(const std::string& path, std::uint32_t page_size, int fd);

}  // namespace weft::broker

// SPDX-License-Identifier: MIT
// SQLite reads its write-ahead log up to the first frame that is not whole and takes that for the end.
// After a power cut it is; after damage it may be followed by rows that somebody was told are durable.
// These read the log as https://www.sqlite.org/fileformat2.html#the_write_ahead_log describes it, to
// tell one from the other.
#pragma once

#include <cstdint>
#include <string>

namespace weft::broker {

struct WalState {
  bool damaged = false;          // what was committed later than the first frame that is not whole is there
  std::uint64_t torn_bytes = 0;  // at the end, of what never became a commit
};

/// Of a file that may be missing, of a database with pages of `page_size` bytes. Throws
/// std::system_error when it cannot be read.
WalState check_wal(const std::string& path, std::uint32_t page_size);

/// For a salvage: writes every page that the log has, whole or not, to the database file `fd`.
void apply_wal(const std::string& path, std::uint32_t page_size, int fd);

}  // namespace weft::broker

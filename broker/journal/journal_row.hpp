// SPDX-License-Identifier: MIT
// One row of the journal as it is stored, and the schema of the journal's tables.
//
// A row has the checksum of the row before it, and its own checksum covers its number, that checksum and its
// content. So each row can be verified by itself, and all rows form a chain that detects a missing, foreign
// or misplaced row. The head, written with every row, names the last row of the chain.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/system/hash.hpp"

namespace weft::broker {

/// SQLite's application_id ("weft" in ASCII) and user_version: the format of the rows, which is the major
/// version of the protocol whose records they contain.
inline constexpr int kJournalApplication = 0x77656674;
inline constexpr int kJournalFormat = 2;
/// The format of 1.x, whose records have all of their fields. Such a journal is read, and marked with the
/// present format when it is opened.
inline constexpr int kJournalFormatBefore = 1;

inline constexpr std::string_view kJournalLog =
    "CREATE TABLE log(number INTEGER PRIMARY KEY, previous BLOB, checksum BLOB, content BLOB)";
inline constexpr std::string_view kJournalHead = "CREATE TABLE head(number INTEGER, checksum BLOB)";

inline constexpr std::uint32_t kJournalPageSize = 4096;

inline std::string_view view_of(const BlobId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

/// The checksum of a row. `previous`: the checksum of the row before it, zeroes for the first row.
inline BlobId row_checksum(std::uint64_t number, const BlobId& previous, std::string_view content) {
  std::array<char, sizeof number> bytes{};
  for (char& byte : bytes) {
    byte = static_cast<char>(number & 0xff);
    number >>= 8;
  }
  Hasher hasher;
  hasher.add({bytes.data(), bytes.size()});
  hasher.add(view_of(previous));
  hasher.add(content);
  return hasher.finish();
}

}  // namespace weft::broker

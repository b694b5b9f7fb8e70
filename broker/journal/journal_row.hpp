// SPDX-License-Identifier: MIT
// The tables of the journal, and the checksums of its rows.
//
// Every row has the checksum of the row before it, and a checksum of its own number, that predecessor and its
// content. So each row can be verified alone, and all of them form a chain in which no row can be missing,
// foreign or out of order. The head, written with every row, says where the chain ends.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/system/hash.hpp"

namespace weft::broker {

/// In the file's header: "weft" as a number, and the format of the rows, which is the major version of the
/// protocol whose records they contain.
inline constexpr int kJournalApplication = 0x77656674;
inline constexpr int kJournalFormat = 2;
/// The format of Weft 1.x, whose records always have all fields. Opening such a journal converts it to
/// kJournalFormat.
inline constexpr int kJournalFormatBefore = 1;

inline constexpr std::string_view kJournalLog =
    "CREATE TABLE log(number INTEGER PRIMARY KEY, previous BLOB, checksum BLOB, content BLOB)";
inline constexpr std::string_view kJournalHead = "CREATE TABLE head(number INTEGER, checksum BLOB)";

inline constexpr std::uint32_t kJournalPageSize = 4096;

inline std::string_view view_of(const BlobId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

/// The checksum of a row; `previous` is the checksum of the row before it (zeroes for the first row).
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

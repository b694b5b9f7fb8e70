// SPDX-License-Identifier: MIT
// One row of the journal as it is stored, and how the journal's tables look.
//
// Every row says which row is before it, and its checksum covers its number, that and its content: so
// each can be judged by itself, and all of them together form a chain in which none can be missing,
// foreign or out of order. The head, written with every row, says where the chain ends.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/system/hash.hpp"

namespace weft::broker {

/// In the file's header: "weft" as a number, and the version of the rows: that of the major version of the
/// protocol whose records they have.
inline constexpr int kJournalApplication = 0x77656674;
inline constexpr int kJournalFormat = 2;
/// Of 1.x, whose records have all of their fields. It is read, and becomes one of today when it is opened.
inline constexpr int kJournalFormatBefore = 1;

inline constexpr std::string_view kJournalLog =
    "CREATE TABLE log(number INTEGER PRIMARY KEY, previous BLOB, checksum BLOB, content BLOB)";
inline constexpr std::string_view kJournalHead = "CREATE TABLE head(number INTEGER, checksum BLOB)";

inline constexpr std::uint32_t kJournalPageSize = 4096;

inline std::string_view view_of(const BlobId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

/// The checksum of a row, whose predecessor (zeroes for the first) has the checksum `previous`.
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

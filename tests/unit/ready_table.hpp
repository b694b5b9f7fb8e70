// SPDX-License-Identifier: MIT
// The decision tables in PROTOCOL.md section 4, read from the file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::broker {

struct ReadyTable {
  struct Row {
    std::string id;                  // "A1"
    std::vector<std::string> cells;  // without the id
    const std::string& outcome() const { return cells.back(); }
  };
  std::vector<std::string> header;  // without "row"
  std::vector<Row> rows;
};

/// The tables between `<!-- ready table: begin -->` and `<!-- ready table: end -->`, in order.
std::vector<ReadyTable> read_ready_tables(const std::filesystem::path& markdown);

/// Splits "a or b" into {"a", "b"}; a cell without the separator is one part.
std::vector<std::string> split(const std::string& cell, const std::string& separator);

}  // namespace weft::broker

// SPDX-License-Identifier: MIT
// The tables of common/VALUES.md, read from the page, and compared with those of a test.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace weft::values {

inline const std::filesystem::path kRoot = WEFT_SOURCE_DIR;

using Row = std::vector<std::string>;

inline std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A cell without the blanks and the backticks around its content.
inline std::string stripped(std::string_view cell) {
  constexpr std::string_view kAround = " `";
  const auto begin = cell.find_first_not_of(kAround);
  if (begin == std::string_view::npos) return "";
  return std::string(cell.substr(begin, cell.find_last_not_of(kAround) + 1 - begin));
}

inline Row cells_of(const std::string& line) {
  Row out;
  std::istringstream rest(line.substr(1));
  for (std::string cell; std::getline(rest, cell, '|');) out.push_back(stripped(cell));
  return out;
}

/// The rows under the header line `header`.
inline std::vector<Row> table_of_page(const std::string& header) {
  std::istringstream page(file_text(kRoot / "common" / "VALUES.md"));
  std::string line;
  while (line != header && std::getline(page, line)) continue;
  REQUIRE_MESSAGE(line == header, "VALUES.md has no table " << header);
  std::getline(page, line);  // the rule under the header
  std::vector<Row> rows;
  while (std::getline(page, line) && line.starts_with('|')) rows.push_back(cells_of(line));
  return rows;
}

/// Splits rows of several pairs into rows of one pair.
inline std::vector<Row> pairs_of(const std::vector<Row>& rows) {
  std::vector<Row> out;
  for (const Row& row : rows) {
    REQUIRE(row.size() % 2 == 0);
    for (std::size_t i = 0; i < row.size(); i += 2) out.push_back({row[i], row[i + 1]});
  }
  return out;
}

/// Checks that both have the same rows, in any order, and reports every row that differs.
inline void check_same_rows(const std::vector<Row>& in_page, const std::vector<Row>& in_test) {
  const auto text = [](const Row& row) {
    std::string out = "|";
    for (const std::string& cell : row) out += " `" + cell + "` |";
    return out;
  };
  const auto count = [](const std::vector<Row>& rows, const Row& row) {
    return std::count(rows.begin(), rows.end(), row);
  };
  for (const Row& row : in_page)
    CHECK_MESSAGE(count(in_test, row) == 1,
                  "a row of the page that the code does not confirm: " << text(row));
  for (const Row& row : in_test)
    CHECK_MESSAGE(count(in_page, row) == 1, "a row that is missing in the page: " << text(row));
}

}  // namespace weft::values

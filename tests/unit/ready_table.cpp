// SPDX-License-Identifier: MIT
#include "tests/unit/ready_table.hpp"

#include <doctest/doctest.h>

#include <fstream>

namespace weft::broker {

namespace {

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

/// The cells of "| a | b |".
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells = split(line.substr(1, line.find_last_of('|') - 1), "|");
  for (std::string& cell : cells) cell = trimmed(cell);
  return cells;
}

/// The lines between the two markers of the tables.
std::vector<std::string> marked_lines(const std::filesystem::path& markdown) {
  std::ifstream file(markdown);
  REQUIRE_MESSAGE(file.is_open(), markdown.string());
  std::vector<std::string> lines;
  bool inside = false;
  bool ended = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "<!-- ready table: begin -->") {
      inside = true;
    } else if (line == "<!-- ready table: end -->") {
      ended = inside;
      inside = false;
    } else if (inside) {
      lines.push_back(line);
    }
  }
  REQUIRE_MESSAGE(ended, "the markers of the ready tables are missing");
  return lines;
}

}  // namespace

std::vector<std::string> split(const std::string& cell, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t to = 0; (to = cell.find(separator, from)) != std::string::npos;
       from = to + separator.size()) {
    parts.push_back(cell.substr(from, to - from));
  }
  parts.push_back(cell.substr(from));
  return parts;
}

std::vector<ReadyTable> read_ready_tables(const std::filesystem::path& markdown) {
  std::vector<ReadyTable> tables;
  bool in_table = false;
  for (const std::string& line : marked_lines(markdown)) {
    const bool was_in_table = in_table;
    in_table = line.starts_with("|");
    if (!in_table || line.starts_with("|-")) continue;
    std::vector<std::string> cells = cells_of(line);
    const std::string first = cells.front();
    cells.erase(cells.begin());
    if (!was_in_table) {
      tables.push_back({std::move(cells), {}});
      continue;
    }
    REQUIRE_MESSAGE(cells.size() == tables.back().header.size(), first);
    tables.back().rows.push_back({first, std::move(cells)});
  }
  return tables;
}

}  // namespace weft::broker

// SPDX-License-Identifier: MIT
// weft_schema: prints the protocol as tables or JSON, updates or checks the tables of PROTOCOL.md, and
// decodes frames.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "common/wire/codec.hpp"
#include "common/wire/schema.hpp"

namespace {

using namespace weft;

constexpr std::string_view kBegin = "<!-- fields: begin (weft_schema --update writes what follows) -->\n";
constexpr std::string_view kEnd = "<!-- fields: end -->\n";

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(fmt::format("{} cannot be read", path));
  return {std::istreambuf_iterator<char>(in), {}};
}

/// `text` with the current tables between the two marks.
std::string with_tables(const std::string& path, const std::string& text) {
  const std::size_t begin = text.find(kBegin);
  const std::size_t end = text.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    throw std::runtime_error(fmt::format("{} has no line {} followed by {}", path,
                                         kBegin.substr(0, kBegin.size() - 1),
                                         kEnd.substr(0, kEnd.size() - 1)));
  }
  return text.substr(0, begin + kBegin.size()) + wire::schema_markdown() + text.substr(end);
}

void update(const std::string& path) {
  const std::string updated = with_tables(path, read_file(path));
  std::ofstream out(path, std::ios::binary);
  out << updated;
  if (!out.flush()) throw std::runtime_error(fmt::format("{} cannot be written", path));
}

void check(const std::string& path) {
  const std::string text = read_file(path);
  if (with_tables(path, text) == text) return;
  throw std::runtime_error(
      fmt::format("the tables in {} differ from the code; run: weft_schema --update {}", path, path));
}

/// Parses hexadecimal digits; white space is ignored.
std::string bytes_of(const std::string& hex) {
  std::string digits;
  for (const char c : hex) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) digits += c;
  }
  if (digits.size() % 2 != 0 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
    throw std::runtime_error("the input is not an even number of hexadecimal digits");
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

void decode() {
  const std::string frame = bytes_of({std::istreambuf_iterator<char>(std::cin), {}});
  const auto message = wire::decode(frame);
  if (!message) throw std::runtime_error(message.fault());
  fmt::print("{}\n", wire::to_json(*message).dump(2));
}

int run(int argc, char** argv) {
  CLI::App app("Prints every message of the Weft protocol as the tables of PROTOCOL.md.", "weft_schema");
  bool json = false;
  bool take_apart = false;
  std::string to_update;
  std::string to_check;
  auto* const what = app.add_option_group("instead");
  what->add_flag("--json", json, "Print them as JSON");
  what->add_flag("--decode", take_apart, "Read a frame in hexadecimal from stdin, print its fields as JSON");
  what->add_option("--update", to_update, "Write the tables into this Markdown file, between its marks");
  what->add_option("--check", to_check, "Exit with 1 unless this file has the tables of the code");
  what->require_option(0, 1);
  CLI11_PARSE(app, argc, argv);
  if (!to_update.empty()) {
    update(to_update);
  } else if (!to_check.empty()) {
    check(to_check);
  } else if (take_apart) {
    decode();
  } else if (json) {
    fmt::print("{}\n", wire::schema_json().dump(2));
  } else {
    fmt::print("{}", wire::schema_markdown());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft_schema: %s\n", error.what());
    return 1;
  }
}

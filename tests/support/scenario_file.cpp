// SPDX-License-Identifier: MIT
#include "tests/support/scenario_file.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace weft::support {

namespace {

constexpr const char* kSeparator = "----";

struct Block {
  std::size_t line = 0;  // of its first command
  std::string head;      // comment lines, unchanged
  std::vector<std::string> commands;
  std::string expected;
};

std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc{} || parsed.ptr != end)
    throw std::runtime_error("'" + text + "' is not a number");
  return number;
}

std::vector<Block> read(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::vector<Block> blocks;
  Block block;
  bool in_output = false;
  const auto finish = [&] {
    if (!block.head.empty() || !block.commands.empty()) blocks.push_back(std::move(block));
    block = {};
    in_output = false;
  };
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty()) {
      finish();
    } else if (in_output) {
      block.expected += line + "\n";
    } else if (line == kSeparator) {
      in_output = true;
    } else if (line.front() == '#') {
      block.head += line + "\n";
    } else {
      if (block.commands.empty()) block.line = number;
      block.commands.push_back(line);
    }
  }
  finish();
  return blocks;
}

void write(const std::filesystem::path& path, const std::vector<Block>& blocks) {
  std::ofstream file(path);
  const char* between = "";
  for (const Block& block : blocks) {
    file << std::exchange(between, "\n") << block.head;
    for (const std::string& command : block.commands) file << command << "\n";
    if (!block.commands.empty()) file << kSeparator << "\n" << block.expected;
  }
}

}  // namespace

ScenarioCommand::ScenarioCommand(const std::string& line) {
  std::istringstream in(line);
  for (std::string word; in >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      words_.push_back(std::move(word));
    } else {
      options_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  if (words_.empty()) throw std::runtime_error("a line without a command");
}

const std::string& ScenarioCommand::word(std::size_t i) const {
  if (i >= words()) throw std::runtime_error("an argument of '" + name() + "' is missing");
  return words_[i + 1];
}

std::uint64_t ScenarioCommand::number(std::size_t i) const { return number_of(word(i)); }

bool ScenarioCommand::has(const std::string& word) const {
  return std::find(words_.begin() + 1, words_.end(), word) != words_.end();
}

std::optional<std::string> ScenarioCommand::option(const std::string& name) {
  const auto found = options_.extract(name);
  if (found.empty()) return std::nullopt;
  return found.mapped();
}

std::uint64_t ScenarioCommand::number(const std::string& name, std::uint64_t otherwise) {
  const auto text = option(name);
  return text ? number_of(*text) : otherwise;
}

std::chrono::microseconds ScenarioCommand::duration(const std::string& name,
                                                    std::chrono::microseconds otherwise) {
  const auto text = option(name);
  return text ? scenario_duration(*text) : otherwise;
}

void ScenarioCommand::check_all_used() const {
  if (!options_.empty())
    throw std::runtime_error("'" + name() + "' has no option '" + options_.begin()->first + "'");
}

std::chrono::microseconds scenario_duration(const std::string& text) {
  if (text.ends_with("ms")) return std::chrono::milliseconds(number_of(text.substr(0, text.size() - 2)));
  if (text.ends_with("s")) return std::chrono::seconds(number_of(text.substr(0, text.size() - 1)));
  throw std::runtime_error("'" + text + "' is no duration: write 1500ms or 60s");
}

std::string check_scenario_file(const std::filesystem::path& file,
                                const std::function<std::string(ScenarioCommand&)>& perform) {
  std::string differences;
  std::vector<Block> blocks = read(file);
  for (Block& block : blocks) {
    std::string output;
    try {
      for (const std::string& line : block.commands) {
        ScenarioCommand command(line);
        output += perform(command);
        command.check_all_used();
      }
    } catch (const std::exception& error) {
      throw std::runtime_error(file.string() + ":" + std::to_string(block.line) + ": " + error.what());
    }
    if (output == block.expected) continue;
    differences += file.string() + ":" + std::to_string(block.line) + ": " + block.commands.front() +
                   " ...\nexpected:\n" + block.expected + "is:\n" + output;
    block.expected = output;
  }
  if (const char* update = std::getenv("WEFT_UPDATE_SCENARIOS"); update != nullptr && *update == '1') {
    write(file, blocks);
    return "";
  }
  return differences;
}

}  // namespace weft::support

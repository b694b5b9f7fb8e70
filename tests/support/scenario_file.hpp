// SPDX-License-Identifier: MIT
// Tests as text, in the style of the "datadriven" tests of etcd. A scenario file is a list of blocks:
//
//   # comment
//   command argument name=value
//   another command
//   ----
//   the output of the commands of the block
//
// A block ends with an empty line. With WEFT_UPDATE_SCENARIOS=1 in the environment a test rewrites the files
// with the present output, so that `git diff` shows what has changed.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weft::support {

/// One line of a scenario: words, and options NAME=VALUE, in any order. option() and its variants consume the
/// options; check_all_used() throws if one is left over.
class ScenarioCommand {
 public:
  explicit ScenarioCommand(const std::string& line);

  const std::string& name() const { return words_.front(); }
  /// The number of words after the name.
  std::size_t words() const { return words_.size() - 1; }
  /// Word `i` after the name, from 0. Throws if there are fewer words.
  const std::string& word(std::size_t i) const;
  std::uint64_t number(std::size_t i) const;
  /// Whether a word after the name is `word`.
  bool has(const std::string& word) const;
  std::optional<std::string> option(const std::string& name);
  std::uint64_t number(const std::string& option, std::uint64_t otherwise);
  std::chrono::microseconds duration(const std::string& option, std::chrono::microseconds otherwise);
  void check_all_used() const;

 private:
  std::vector<std::string> words_;
  std::map<std::string, std::string> options_;
};

/// Parses "1500ms" or "60s". Throws std::runtime_error for other units.
std::chrono::microseconds scenario_duration(const std::string& text);

/// Performs the commands of `file` in order; `perform` returns the output of one command, without empty
/// lines. Returns the blocks whose output differs from the file, with both outputs; "" if none does.
std::string check_scenario_file(const std::filesystem::path& file,
                                const std::function<std::string(ScenarioCommand&)>& perform);

}  // namespace weft::support

// SPDX-License-Identifier: MIT
// Runs the scheduler against the scenario files in tests/scenarios; scheduler_script.hpp lists their
// commands.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/unit/ready_table.hpp"
#include "tests/unit/scheduler_script.hpp"

namespace weft::broker {

namespace {

namespace fs = std::filesystem;

const fs::path kScenarios = fs::path(WEFT_SOURCE_DIR) / "tests/scenarios";

std::vector<fs::path> scheduler_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kScenarios)) {
    if (entry.path().filename().string().starts_with("scheduler_")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_SUITE("scenarios") {
  TEST_CASE("the scheduler does what its scenarios say") {
    const auto files = scheduler_files();
    REQUIRE(files.size() >= 6);
    for (const fs::path& file : files) {
      SchedulerScript script;
      const std::string differences =
          support::check_scenario_file(file, [&](auto& command) { return script.perform(command); });
      CHECK_MESSAGE(differences.empty(), differences);
    }
  }

  TEST_CASE("each row of the tables in PROTOCOL.md has a scenario, which begins with its name") {
    std::set<std::string> rows;
    for (const fs::path& path : scheduler_files()) {
      std::ifstream file(path);
      for (std::string line; std::getline(file, line);) {
        if (line.starts_with("# ")) rows.insert(line.substr(2, line.find(':') - 2));
      }
    }
    for (const ReadyTable& table : read_ready_tables(fs::path(WEFT_SOURCE_DIR) / "common/PROTOCOL.md")) {
      for (const ReadyTable::Row& row : table.rows) CHECK_MESSAGE(rows.contains(row.id), row.id);
    }
  }
}

}  // namespace weft::broker

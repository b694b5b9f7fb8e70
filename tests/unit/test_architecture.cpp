// SPDX-License-Identifier: MIT
// The rooms of the house, kept apart: broker, worker and client do not include one another, all stand on
// common, and the pure files know no socket, thread, clock or file.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = WEFT_SOURCE_DIR;

struct Include {
  fs::path file;
  std::string line;
};

std::vector<Include> includes_of(const fs::path& folder) {
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (extension != ".cpp" && extension != ".hpp") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("#include")) found.push_back({fs::relative(entry.path(), kRoot), line});
    }
  }
  return found;
}

void check_room(const std::string& room, const std::vector<std::string>& closed_to_it) {
  const auto includes = includes_of(kRoot / room);
  REQUIRE(includes.size() > 10);
  for (const Include& include : includes) {
    for (const std::string& other : closed_to_it) {
      CHECK_MESSAGE(include.line.find("\"" + other + "/") == std::string::npos, include.file.string()
                                                                                    << ": " << include.line);
    }
  }
}

}  // namespace

TEST_SUITE("architecture") {
  TEST_CASE("the rooms do not include one another, and nothing includes tests") {
    check_room("common", {"broker", "worker", "client", "tests"});
    check_room("broker", {"worker", "client", "tests"});
    check_room("worker", {"broker", "client", "tests"});
    check_room("client", {"broker", "worker", "tests"});
  }

  TEST_CASE("the pure files include no socket, thread, clock, randomness or file") {
    const std::vector<std::string> pure = WEFT_PURE_FILES;
    const std::vector<std::string> closed = {
        "zmq",        "<thread>",     "<mutex>",  "<random>",        "<fstream>",
        "<atomic>",   "<unistd.h>",   "<poll.h>", "common/link.hpp", "common/hash.hpp",
        "<iostream>", "<filesystem>", "<sys/",    "spdlog"};
    std::set<std::string> seen;
    for (const char* room : {"common", "broker", "worker", "client"}) {
      for (const Include& include : includes_of(kRoot / room)) {
        const std::string stem = fs::path(include.file).replace_extension().string();
        if (std::find(pure.begin(), pure.end(), stem) == pure.end()) continue;
        seen.insert(stem);
        for (const std::string& name : closed) {
          CHECK_MESSAGE(include.line.find(name) == std::string::npos, include.file.string()
                                                                          << ": " << include.line);
        }
      }
    }
    CHECK(seen.size() == pure.size());
  }

  TEST_CASE("no file reads a clock but the shells") {
    const std::set<std::string> shells = {"broker/broker.cpp", "broker/main.cpp"};
    for (const char* room : {"broker"}) {
      for (const auto& entry : fs::recursive_directory_iterator(kRoot / room)) {
        const std::string name = fs::relative(entry.path(), kRoot);
        if (!entry.is_regular_file() || shells.contains(name)) continue;
        std::ifstream file(entry.path());
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        CHECK_MESSAGE(text.find("_clock::") == std::string::npos, name);
      }
    }
  }
}

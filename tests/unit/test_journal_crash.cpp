// SPDX-License-Identifier: MIT
// A process that writes a journal (write-ahead log) is killed; everything that was reported as durable must
// be there.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <random>
#include <set>

#include "broker/journal/blob_directory.hpp"
#include "broker/journal/journal_file.hpp"
#include "common/system/crash_point.hpp"
#include "common/system/hash.hpp"
#include "journal_victim.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::broker {

namespace {

/// The output of the victim.
struct Told {
  int status = 0;  // how it ended
  std::uint64_t appended = 0;
  std::set<std::uint64_t> durable;
  std::set<std::uint64_t> mentioned;
};

/// Runs the victim until it has printed `lines` lines, then kills it.
Told run_victim(const std::string& path, const std::string& crash_at, int lines) {
  int out[2];
  REQUIRE(pipe(out) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], 1);
    close(out[0]);
    close(out[1]);
    if (!crash_at.empty()) setenv("WEFT_CRASH_AT", crash_at.c_str(), 1);
    execl(WEFT_JOURNAL_VICTIM, "weft_journal_victim", path.c_str(), nullptr);
    _exit(127);
  }
  close(out[1]);
  Told told;
  FILE* said = fdopen(out[0], "r");
  char what[16];
  for (std::uint64_t number = 0; std::fscanf(said, "%15s %lu", what, &number) == 2;) {
    if (what == std::string("appended")) told.appended = number;
    if (what == std::string("sealed")) told.durable.insert(number);
    if (what == std::string("forgetting")) told.durable.erase(number);
    told.mentioned.insert(number);
    if (--lines == 0) kill(pid, SIGKILL);
  }
  std::fclose(said);
  waitpid(pid, &told.status, 0);
  return told;
}

/// Returns the number of records.
std::uint64_t check(const std::string& path, const Told& told) {
  std::string records;
  {
    JournalFile file(path);
    CHECK(file.notices().size() <= 1);  // a record in progress may have been torn
    for (const std::string& row : file.read()) records += row;
  }
  std::string expected;
  std::uint64_t last = 0;
  while (expected.size() < records.size()) expected += std::to_string(++last) + "\n";
  CHECK(records == expected);
  CHECK(last >= told.appended);

  const BlobDirectory folder(path + ".blobs");
  for (const std::uint64_t number : told.durable) {
    const std::string content = blob_content(number);
    CHECK(folder.read(hash_of(content), 0, static_cast<std::uint32_t>(content.size())) == Bytes(content));
  }
  for (const auto& [id, size] : folder.list()) {
    CHECK(hash_of(folder.read(id, 0, static_cast<std::uint32_t>(size)).view()) == id);
  }
  return last;
}

}  // namespace

TEST_SUITE("journal crash") {
  TEST_CASE("what was said to be durable is there after kill -9, twenty times in a row") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    std::mt19937 random(7);
    for (int i = 0; i < 20; ++i) {
      const Told told = run_victim(path, "", std::uniform_int_distribution(1, 60)(random));
      CHECK(WIFSIGNALED(told.status));
      check(path, told);
    }
    CHECK(check(path, {}) > 100);
  }

  TEST_CASE("what was said to be durable is there after a death at each crash point") {
    int visited = 0;
    for (const std::string_view point : kCrashPoints) {
      if (!point.starts_with("journal.")) continue;
      ++visited;
      for (const int pass : {1, 2, 5}) {
        support::TempDirectory temp;
        const std::string path = temp / "journal";
        const std::string crash_at = std::string(point) + ":" + std::to_string(pass);
        CAPTURE(crash_at);
        const Told told = run_victim(path, crash_at, 0);
        CHECK(WIFSIGNALED(told.status));
        CHECK(WTERMSIG(told.status) == SIGKILL);
        check(path, told);
        check(path, run_victim(path, "", 30));  // and the journal can be continued
      }
    }
    CHECK(visited == 7);
  }
}

}  // namespace weft::broker

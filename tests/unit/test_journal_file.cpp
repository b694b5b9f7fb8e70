// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <random>

#include "broker/journal/journal_file.hpp"
#include "tests/support/condition.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::broker {

namespace {

using support::contains;

namespace fs = std::filesystem;

using Rows = std::vector<std::string>;

std::string row(int i) { return std::to_string(i) + std::string(static_cast<std::size_t>(i % 7) * 300, 'x'); }

Rows rows(int count) {
  Rows out;
  for (int i = 1; i <= count; ++i) out.push_back(row(i));
  return out;
}

void write(const std::string& path, int from, int to) {
  JournalFile file(path);
  CHECK(file.read() == rows(from - 1));
  for (int i = from; i <= to; ++i) file.append(row(i));
}

/// Changes a journal that no process has open.
void sql(const std::string& path, const std::string& text) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  char* error = nullptr;
  sqlite3_exec(database, text.c_str(), nullptr, nullptr, &error);
  CHECK_MESSAGE(error == nullptr, error);
  sqlite3_free(error);
  sqlite3_close(database);
}

/// Why the journal is refused; "" if it opens.
std::string refusal(const std::string& path, JournalFile::Mode mode = JournalFile::Mode::normal) {
  try {
    JournalFile file(path, mode);
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

/// Runs `f` in a child process, which ends without running destructors. Returns its wait status.
int in_child(const std::function<void()>& f) {
  const pid_t pid = fork();
  if (pid == 0) {
    try {
      f();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

}  // namespace

TEST_SUITE("journal file") {
  TEST_CASE("rows are there again, in order, byte by byte") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    write(path, 1, 40);
    write(path, 41, 41);
    JournalFile file(path);
    CHECK(file.notices().empty());
    std::uint64_t bytes = 0;
    for (const std::string& one : rows(41)) bytes += one.size();
    CHECK(file.bytes() == bytes);
    CHECK(file.read() == rows(41));
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }

  TEST_CASE("any bytes may be a row") {
    support::TempDirectory temp;
    const Rows all = {"", std::string("\0\1\0", 3), std::string(5'000'000, 'b'), ""};
    {
      JournalFile file(temp / "journal");
      for (const std::string& one : all) file.append(one);
    }
    CHECK(JournalFile(temp / "journal").read() == all);
  }

  TEST_CASE("a rewritten journal has the new rows, and goes on") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    {
      JournalFile file(path);
      for (int i = 1; i <= 100; ++i) file.append("old " + row(i));
      file.rewrite(rows(3));
      file.append(row(4));
      CHECK(file.bytes() == row(1).size() + row(2).size() + row(3).size() + row(4).size());
    }
    write(path, 5, 6);
    {
      JournalFile file(path);
      CHECK(file.read() == rows(6));
      file.rewrite({});
      CHECK(file.bytes() == 0);
    }
    write(path, 1, 1);
  }

  TEST_CASE("a journal in use is refused, and its process is named") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    JournalFile file(path);
    file.append("a");
    CHECK(contains(refusal(path),
                   "the journal " + path + " is in use by process " + std::to_string(getpid()) + " ("));
    const std::string pid = std::to_string(getpid());
    CHECK(in_child([&] {
            if (!contains(refusal(path), "in use by process " + pid + " ("))
              throw std::runtime_error(refusal(path));
          }) == 0);
    CHECK(contains(refusal(path, JournalFile::Mode::salvage), "is in use by process"));
    file.append("b");
  }

  TEST_CASE("a last row that is torn is cut off, and said") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    write(path, 1, 5);
    SUBCASE("its content") {
      sql(path, "UPDATE log SET content = zeroblob(length(content)) WHERE number = 5");
    }
    SUBCASE("its checksum") { sql(path, "UPDATE log SET checksum = zeroblob(32) WHERE number = 5"); }
    SUBCASE("all of it") { sql(path, "DELETE FROM log WHERE number = 5"); }
    {
      JournalFile file(path);
      CHECK(file.read() == rows(4));
      REQUIRE(file.notices().size() == 1);
      CHECK(file.notices()[0] == "row 5 of the journal " + path + ", the last one, was torn: cut off");
      file.append(row(5));
    }
    JournalFile file(path);
    CHECK(file.notices().empty());
    CHECK(file.read() == rows(5));
  }

  TEST_CASE("damage in the middle is refused, and a salvage keeps every whole row") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    write(path, 1, 9);
    Rows kept = rows(9);
    std::string change;
    SUBCASE("content") {
      change = "UPDATE log SET content = 'x' WHERE number = 5";
      kept.erase(kept.begin() + 4);
    }
    SUBCASE("a missing row") {
      change = "DELETE FROM log WHERE number = 1";
      kept.erase(kept.begin());
    }
    SUBCASE("two missing rows at the end") {
      change = "DELETE FROM log WHERE number > 7";
      kept.resize(7);
    }
    SUBCASE("another order") {
      change =
          "UPDATE log SET number = 20 WHERE number = 3; UPDATE log SET number = 3 WHERE number = 4;"
          "UPDATE log SET number = 4 WHERE number = 20";
      kept.erase(kept.begin() + 2, kept.begin() + 4);
    }
    SUBCASE("more rows than there should be") {
      change = "UPDATE head SET number = 8, checksum = (SELECT checksum FROM log WHERE number = 8)";
    }
    SUBCASE("no head") { change = "DELETE FROM head"; }
    SUBCASE("another table") { change = "CREATE TABLE other(x)"; }
    sql(path, change);

    const std::string text = refusal(path);
    CHECK_MESSAGE(contains(text, "the journal " + path + " is damaged: "), text);
    CHECK(contains(text, ". Start once with --journal-salvage, which keeps every row that is whole"));
    CHECK(refusal(path) == text);  // the refused start has changed nothing
    {
      JournalFile file(path, JournalFile::Mode::salvage);
      CHECK(file.read() == kept);
      REQUIRE(file.notices().size() == 1);
      CHECK(contains(file.notices()[0],
                     "was damaged: " + std::to_string(kept.size()) + " rows are whole and were kept"));
      CHECK(contains(file.notices()[0], "the damaged one is now " + path + ".damaged"));
      file.append("more");
    }
    CHECK(contains(refusal(path + ".damaged"), "is damaged"));
    kept.push_back("more");
    CHECK(JournalFile(path, JournalFile::Mode::salvage).notices().empty());  // nothing more to salvage
    CHECK(JournalFile(path).read() == kept);
  }

  TEST_CASE("a salvage that was interrupted is finished by the next start") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    write(path, 1, 3);
    fs::rename(path, path + ".salvaged");
    SUBCASE("before any renaming") {
      std::ofstream(path) << "damaged";
      std::ofstream(path + "-wal") << "damaged";
    }
    SUBCASE("between two") { std::ofstream(path) << "damaged"; }
    SUBCASE("before the last") {}
    const bool was_there = fs::exists(path);
    CHECK(JournalFile(path).read() == rows(3));
    CHECK(fs::exists(path + ".damaged") == was_there);
    CHECK(!fs::exists(path + ".salvaged"));
  }

  TEST_CASE("what is no journal of ours is refused and left alone") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    std::string part;
    SUBCASE("a text") {
      std::ofstream(path) << std::string(10'000, 'x');
      part = "is no database";
    }
    SUBCASE("another database") {
      sql(path, "CREATE TABLE shopping(item)");
      part = "is a database, but not a journal of Weft";
    }
    SUBCASE("a later format") {
      write(path, 1, 3);
      sql(path, "PRAGMA user_version = 3");
      part = "has format 3, and this weft-broker knows formats 1 and 2 only";
    }
    SUBCASE("empty") {
      std::ofstream(path) << "";
      part = "is empty";
    }
    SUBCASE("a folder") {
      fs::create_directory(path);
      part = "is not a file";
    }
    const auto size = fs::is_directory(path) ? 0 : fs::file_size(path);
    CHECK_MESSAGE(contains(refusal(path), part), refusal(path));
    CHECK(!refusal(path, JournalFile::Mode::salvage).empty());
    CHECK((fs::is_directory(path) ? 0 : fs::file_size(path)) == size);
    CHECK(!fs::exists(path + ".new"));
  }

  TEST_CASE("a journal that cannot be there is refused") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    CHECK(contains(refusal(temp / "no/journal"), "there is no folder " + (temp / "no") + ": make it"));
    std::ofstream(path + "-wal") << "left behind";
    CHECK(contains(refusal(path), "its write-ahead log is there, and it is not"));
    fs::remove(path + "-wal");
    if (geteuid() != 0) return;  // only root can switch to another user
    fs::permissions(temp.path(), fs::perms::all);
    write(path, 1, 1);
    const auto as_nobody = [&](const std::string& part) {
      return in_child([&] {
        if (setresuid(65534, 65534, 65534) != 0) throw std::runtime_error("setresuid");
        if (!contains(refusal(path), part)) throw std::runtime_error(refusal(path));
      });
    };
    CHECK(as_nobody("cannot be opened: unable to open database file (Permission denied)") == 0);
    fs::permissions(path, fs::perms(0644));
    CHECK(as_nobody("may not be written by this user") == 0);
    fs::permissions(temp.path(), fs::perms(0700));
    CHECK(as_nobody("cannot be opened: Permission denied") == 0);
  }

  TEST_CASE("a full disk refuses a row, keeps the others, and takes later ones when there is space") {
    support::TempDirectory temp;
    const std::string path = temp / "journal";
    CHECK(in_child([&] {
            std::signal(SIGXFSZ, SIG_IGN);
            JournalFile file(path);
            const rlimit small{200'000, RLIM_INFINITY};
            setrlimit(RLIMIT_FSIZE, &small);
            int kept = 0;
            std::string reason;
            while (reason.empty()) {
              try {
                file.append(row(kept + 1));
                ++kept;
              } catch (const std::runtime_error& error) {
                reason = error.what();
              }
            }
            if (!contains(reason, "cannot be written: ") || !contains(reason, "(File too large)"))
              throw std::runtime_error(reason);
            if (kept < 10) throw std::runtime_error("too few");
            for (int i = 0; i < 3; ++i) {
              try {
                file.append(std::string(300'000, 'y'));
                throw std::logic_error("a row too many");
              } catch (const std::runtime_error&) {
              }
            }
            const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
            setrlimit(RLIMIT_FSIZE, &large);
            while (kept < 400) file.append(row(++kept));
          }) == 0);
    CHECK(JournalFile(path).read() == rows(400));
  }
}

}  // namespace weft::broker

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "broker/journal/blob_directory.hpp"
#include "common/system/hash.hpp"
#include "tests/support/condition.hpp"
#include "tests/support/temp_directory.hpp"

namespace weft::broker {

namespace {

using support::contains;

namespace fs = std::filesystem;

const std::string kText = "a large argument";
const BlobId kId = hash_of(kText);

void put(BlobDirectory& blobs) {
  blobs.save(kId, kText.size(), 7, kText.substr(7));  // in any order
  blobs.save(kId, kText.size(), 0, kText.substr(0, 7));
  blobs.seal(kId);
}

template <class F>
std::string refusal(F&& f) {
  try {
    f();
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace

TEST_SUITE("blob folder") {
  TEST_CASE("a blob is there when it is sealed, and after that") {
    support::TempDirectory temp;
    const std::string path = temp / "journal.blobs";
    {
      BlobDirectory blobs(path);
      CHECK(!blobs.has(kId));
      blobs.save(kId, kText.size(), 0, kText);
      CHECK(!blobs.has(kId));
      CHECK(blobs.list().empty());
      blobs.seal(kId);
      CHECK(blobs.has(kId));
      put(blobs);  // once more: nothing happens
      struct stat status {};
      REQUIRE(stat(path.c_str(), &status) == 0);
      CHECK((status.st_mode & 0777) == 0700);
      REQUIRE(stat((path + "/" + kId.text()).c_str(), &status) == 0);
      CHECK((status.st_mode & 0777) == 0600);
    }
    BlobDirectory blobs(path);
    CHECK(blobs.list() == std::map<BlobId, std::uint64_t>{{kId, kText.size()}});
    CHECK(blobs.read(kId, 2, 5) == Bytes("large"));
    CHECK(blobs.read(kId, 2, 0) == Bytes());
    CHECK(contains(refusal([&] { blobs.read(kId, 10, 50); }), "cannot be read: it ends before byte 60"));
    blobs.forget(kId);
    CHECK(!blobs.has(kId));
    CHECK(contains(refusal([&] { blobs.read(kId, 0, 1); }), "No such file or directory"));
    blobs.forget(kId);
    CHECK(fs::is_empty(path));
  }

  TEST_CASE("an empty blob is one") {
    support::TempDirectory temp;
    BlobDirectory blobs(temp / "blobs");
    blobs.save(hash_of(""), 0, 0, "");
    blobs.seal(hash_of(""));
    CHECK(blobs.list().size() == 1);
  }

  TEST_CASE("what does not have its hash or its size is refused, and nothing of it is kept") {
    support::TempDirectory temp;
    const std::string path = temp / "blobs";
    BlobDirectory blobs(path);
    std::string text;
    SUBCASE("hash") {
      blobs.save(kId, kText.size(), 0, "A" + kText.substr(1));
      text = refusal([&] { blobs.seal(kId); });
      CHECK_MESSAGE(contains(text, "the blob " + kId.text(16) + " cannot be stored in " + path), text);
      CHECK(contains(text, "what came does not have its hash"));
    }
    SUBCASE("short") {
      blobs.save(kId, kText.size() + 1, 0, kText);
      CHECK(contains(refusal([&] { blobs.seal(kId); }), "what came does not have its hash"));
    }
    SUBCASE("beyond the end") {
      CHECK(contains(refusal([&] { blobs.save(kId, 10, 5, kText); }),
                     "16 bytes at 5 do not belong to a blob of 10 bytes"));
      CHECK(contains(refusal([&] { blobs.seal(kId); }), "nothing of it has come"));
    }
    SUBCASE("two sizes") {
      blobs.save(kId, kText.size(), 0, kText);
      CHECK(!refusal([&] { blobs.save(kId, 100, 0, kText); }).empty());
    }
    SUBCASE("forgotten on its way") {
      blobs.save(kId, kText.size(), 0, kText);
      blobs.forget(kId);
    }
    CHECK(fs::is_empty(path));
    put(blobs);
    CHECK(blobs.read(kId, 0, static_cast<std::uint32_t>(kText.size())) == Bytes(kText));
  }

  TEST_CASE("what was on its way when its process ended is removed, and other files are left alone") {
    support::TempDirectory temp;
    const std::string path = temp / "blobs";
    fs::create_directory(path);
    fs::permissions(path, fs::perms(0700));
    std::ofstream(path + "/" + kId.text() + ".part") << "half";
    std::ofstream(path + "/note.txt") << "ours";
    BlobDirectory blobs(path);
    CHECK(blobs.list().empty());
    CHECK(!fs::exists(path + "/" + kId.text() + ".part"));
    CHECK(fs::exists(path + "/note.txt"));
  }

  TEST_CASE("a folder that others may enter is refused") {
    support::TempDirectory temp;
    const std::string path = temp / "blobs";
    fs::create_directory(path);
    fs::permissions(path, fs::perms(0755));
    CHECK(contains(refusal([&] { BlobDirectory blobs(path); }), "chmod 700 it, or name another journal"));
    fs::remove(path);
    std::ofstream file(path);
    CHECK(contains(refusal([&] { BlobDirectory blobs(path); }), "is not a directory"));
  }

  TEST_CASE("a full disk refuses a blob, and takes it when there is space") {
    support::TempDirectory temp;
    const std::string path = temp / "blobs";
    const pid_t pid = fork();
    if (pid == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      BlobDirectory blobs(path);
      const rlimit small{4, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &small);
      const bool refused =
          contains(refusal([&] { put(blobs); }), "cannot write: File too large") && fs::is_empty(path);
      const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &large);
      put(blobs);
      _exit(refused && blobs.has(kId) ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(status == 0);
  }
}

}  // namespace weft::broker

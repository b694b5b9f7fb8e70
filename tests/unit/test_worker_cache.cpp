// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/base/quantity.hpp"
#include "common/system/hash.hpp"
#include "common/system/program_cache.hpp"
#include "tests/support/temp_directory.hpp"
#include "worker/runners/cgroup.hpp"
#include "worker/runners/memory.hpp"
#include "worker/store/blob_store.hpp"
#include "worker/store/cache.hpp"

namespace weft::worker {

namespace {

std::string content_of(int fd) {
  std::string out(100, '\0');
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(pread(fd, out.data(), out.size(), 0), 0)));
  return out;
}

const std::string kText = "a program";
const BlobId kId = hash_of(kText);

/// A file of `bytes` in the cache, last used `age` hours ago.
void add_file(const support::TempDirectory& temp, const std::string& hash, const std::string& name,
              std::size_t bytes, int age) {
  std::ofstream(temp / ("blobs/" + hash)) << std::string(bytes, 'x');
  if (!name.empty()) std::ofstream(temp / ("names/" + hash)) << name << '\n';
  std::filesystem::last_write_time(temp / ("blobs/" + hash),
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(age));
}

std::string hashes_of(const std::vector<CachedFile>& files) {
  std::string out;
  for (const CachedFile& file : files) out += file.hash + " ";
  return out;
}

template <class T>
bool is(const std::optional<Event>& event) {
  return event && std::holds_alternative<T>(*event);
}

/// Fetches kText into the store.
void put(BlobStore& store) {
  CHECK(is<BlobMissing>(store.find({kId, kText.size(), "prog"})));
  CHECK(!store.store({kId, kText.size(), 2, Bytes(kText.substr(2))}));  // in any order
  CHECK(!store.store({kId, kText.size(), 0, Bytes(kText.substr(0, 2))}));
  CHECK(is<BlobReady>(store.verify(kId)));
}

}  // namespace

TEST_SUITE("worker cache") {
  TEST_CASE("a blob that was fetched is found again, also by the next worker") {
    support::TempDirectory temp;
    {
      Cache cache(temp.path());
      BlobStore store(cache);
      put(store);
      CHECK(content_of(store.fd(kId)) == kText);
      CHECK((fcntl(store.fd(kId), F_GET_SEALS) & F_SEAL_WRITE) != 0);
    }
    Cache cache(temp.path());
    BlobStore store(cache);
    CHECK(is<BlobReady>(store.find({kId, kText.size(), "prog"})));
    CHECK(content_of(store.fd(kId)) == kText);
  }

  TEST_CASE("a damaged file is not used, but fetched again") {
    support::TempDirectory temp;
    Cache cache(temp.path());
    {
      BlobStore store(cache);
      put(store);
    }
    SUBCASE("changed") { std::ofstream(temp / ("blobs/" + kId.text())) << "A program"; }
    SUBCASE("cut") { std::ofstream(temp / ("blobs/" + kId.text())) << "a"; }
    BlobStore store(cache);
    put(store);
    CHECK(content_of(store.fd(kId)) == kText);
  }

  TEST_CASE("bytes with another hash do not get in") {
    support::TempDirectory temp;
    Cache cache(temp.path());
    BlobStore store(cache);
    CHECK(is<BlobMissing>(store.find({kId, kText.size(), "prog"})));
    CHECK(!store.store({kId, kText.size(), 0, Bytes("b program")}));
    CHECK(is<BlobBad>(store.verify(kId)));
    CHECK(std::filesystem::is_empty(temp / "blobs"));
    put(store);
  }

  TEST_CASE("two workers of one host fetch a blob once") {
    support::TempDirectory temp;
    Cache cache1(temp.path());
    Cache cache2(temp.path());
    BlobStore store1(cache1);
    BlobStore store2(cache2);
    CHECK(is<BlobMissing>(store1.find({kId, kText.size(), "prog"})));
    CHECK(!store2.find({kId, kText.size(), "prog"}));
    CHECK(store2.waits_for_others());
    CHECK(store2.retry().empty());
    SUBCASE("the first one succeeds") {
      store1.store({kId, kText.size(), 0, Bytes(kText)});
      CHECK(is<BlobReady>(store1.verify(kId)));
      const auto events = store2.retry();
      REQUIRE(events.size() == 1);
      CHECK(is<BlobReady>(events[0]));
    }
    SUBCASE("the first one gives up") {
      store1.drop(kId);
      const auto events = store2.retry();
      REQUIRE(events.size() == 1);
      CHECK(is<BlobMissing>(events[0]));
    }
    CHECK(!store2.waits_for_others());
  }

  TEST_CASE("an argument stays in memory, and is checked as well") {
    support::TempDirectory temp;
    Cache cache(temp.path());
    BlobStore store(cache);
    CHECK(is<BlobMissing>(store.find({kId, kText.size(), ""})));
    store.store({kId, kText.size(), 0, Bytes(kText)});
    CHECK(is<BlobReady>(store.verify(kId)));
    CHECK(content_of(store.fd(kId)) == kText);
    CHECK(std::filesystem::is_empty(temp / "blobs"));
  }

  TEST_CASE("few descriptors: arguments wait for others to go, and results do without") {
    support::TempDirectory temp;
    Cache cache(temp.path());
    BlobStore store(cache, 1);
    const std::string one = "an argument";
    const std::string other = "another argument";
    const BlobId first = hash_of(one);
    const BlobId second = hash_of(other);
    CHECK(is<BlobMissing>(store.find({first, one.size(), ""})));
    CHECK(!store.find({second, other.size(), ""}));
    store.store({first, one.size(), 0, Bytes(one)});
    CHECK(is<BlobReady>(store.verify(first)));
    CHECK(store.retry().empty());
    put(store);  // programs are not delayed
    store.drop(first);
    const auto events = store.retry();
    REQUIRE(events.size() == 1);
    CHECK(is<BlobMissing>(events[0]));

    const auto files = [] {
      return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                           std::filesystem::directory_iterator());
    };
    std::vector<BlobId> ids;
    const auto add = [&](const std::string& text) {
      Fd memory(memfd_create("result", MFD_CLOEXEC | MFD_ALLOW_SEALING));
      REQUIRE(write(memory.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
      ids.push_back(store.add_result(std::move(memory)));
    };
    add("result 0");
    const auto before = files();
    for (int i = 1; i < 50; ++i) add("result " + std::to_string(i));
    CHECK(files() == before);
    add("result 7");  // again
    for (int i = 0; i < 50; ++i) {
      CHECK(store.read(ids[static_cast<std::size_t>(i)], 7, 1) == std::to_string(i).substr(0, 1));
      CHECK(store.read(ids[static_cast<std::size_t>(i)], 7, 4) == "");
      store.drop(ids[static_cast<std::size_t>(i)]);
      CHECK(store.read(ids[static_cast<std::size_t>(i)], 7, 1) == "");
    }
  }

  TEST_CASE("a directory that others may enter, or that is none, is refused with a sentence") {
    support::TempDirectory temp;
    const auto refuses = [](const std::string& path, const std::string& words) {
      try {
        Cache cache(path);
        FAIL("it was taken");
      } catch (const std::runtime_error& error) {
        CHECK(std::string(error.what()).find(words) != std::string::npos);
      }
    };
    mkdir((temp / "open").c_str(), 0700);
    chmod((temp / "open").c_str(), 0755);
    refuses(temp / "open", "other users may enter");
    std::ofstream(temp / "file") << "";
    refuses(temp / "file", "is not a directory");
  }

  TEST_CASE("old builds of a program go first, then what was used longest ago") {
    support::TempDirectory temp;
    const Cache cache(temp.path());
    add_file(temp, "fit1", "fit", 100, 9);
    add_file(temp, "fit2", "fit", 100, 2);
    add_file(temp, "fit3", "fit", 100, 1);
    add_file(temp, "rare", "rare", 100, 50);
    add_file(temp, "unknown", "", 100, 40);
    add_file(temp, "lib", "lib.so", 100, 3);
    CHECK(hashes_of(cached_files(temp.path())) == "fit1 fit2 rare unknown lib fit3 ");
    CHECK(hashes_of(trim_cache(temp.path(), 600)).empty());
    CHECK(hashes_of(trim_cache(temp.path(), 599)) == "fit1 ");
    CHECK(hashes_of(trim_cache(temp.path(), 250)) == "fit2 rare unknown ");
    CHECK(hashes_of(trim_cache(temp.path(), 0, "lib")) == "fit3 ");
    CHECK(hashes_of(cached_files(temp.path())) == "lib ");
    CHECK(!std::filesystem::exists(temp / "names/fit1"));
  }

  TEST_CASE("what a worker uses is never removed, until it uses it no longer or is dead") {
    support::TempDirectory temp;
    {
      Cache cache(temp.path());
      Cache other(temp.path());
      BlobStore store(cache);
      put(store);
      CHECK(trim_cache(temp.path(), 0).empty());
      REQUIRE(cached_files(temp.path()).size() == 1);
      CHECK(cached_files(temp.path())[0].in_use);
      CHECK(cached_files(temp.path())[0].name == "prog");
      BlobStore theirs(other);
      CHECK(is<BlobReady>(theirs.find({kId, kText.size(), "prog"})));
      store.drop(kId);
      CHECK(trim_cache(temp.path(), 0).empty());
      theirs.drop(kId);
      CHECK(!cached_files(temp.path())[0].in_use);
      CHECK(is<BlobReady>(theirs.find({kId, kText.size(), "prog"})));
    }
    std::filesystem::create_directories(temp / "run/1-dead/used");
    std::ofstream(temp / "run/1-dead/used/" + kId.text()) << "";
    CHECK(trim_cache(temp.path(), 0).size() == 1);
  }

  TEST_CASE("the directories of dead workers are removed, those of living ones stay") {
    support::TempDirectory temp;
    const std::string stale = temp / "run/1-dead";
    Cache living(temp.path());
    std::filesystem::create_directories(stale + "/scratch");
    std::string own;
    {
      Cache cache(temp.path());
      own = cache.run_directory();
      CHECK(std::filesystem::exists(own));
      CHECK(!std::filesystem::exists(stale));
      CHECK(std::filesystem::exists(living.run_directory()));
    }
    CHECK(!std::filesystem::exists(own));
  }
}

TEST_SUITE("worker memory") {
  TEST_CASE("sizes are read and written as people do") {
    CHECK(parse_bytes("2G") == 2ULL << 30);
    CHECK(parse_bytes("1.5MiB") == 3ULL << 19);
    CHECK(parse_bytes("512k") == 512ULL << 10);
    CHECK(parse_bytes("1000") == 1000ULL);
    for (const char* wrong : {"", "G", "2X", "2GG", "-1", "0", "nan", "1e3"}) {
      CAPTURE(wrong);
      CHECK(!parse_bytes(wrong));
    }
    CHECK(format_bytes(2ULL << 30) == "2.0 GiB");
    CHECK(format_bytes(2'254'857'830) == "2.1 GiB");
    CHECK(format_bytes(512) == "512 B");
  }

  TEST_CASE("times are read as people write them") {
    CHECK(parse_seconds("90") == 90);
    CHECK(parse_seconds("500ms") == 0.5);
    CHECK(parse_seconds("1.5s") == 1.5);
    CHECK(parse_seconds("10m") == 600);
    CHECK(parse_seconds("2h") == 7200);
    CHECK(parse_seconds("7d") == 604'800);
    CHECK(parse_seconds("0") == 0);
    for (const char* wrong : {"", "s", "soon", "1 s", "-1", "1e3", "nan", "inf", "2w", "1ms2"}) {
      CAPTURE(wrong);
      CHECK(!parse_seconds(wrong));
    }
  }

  TEST_CASE("the memory of what descends from a process is that of all of it, and nothing else") {
    const ProcessTable processes;
    const std::uint64_t of_parent = processes.resident_bytes_below(getppid());
    CHECK(of_parent > 1 << 20);  // the parent's only child here is this process
    CHECK(processes.resident_bytes_below(getpid()) < of_parent);
    CHECK(processes.resident_bytes_below(1 << 30) == 0);
  }
}

TEST_SUITE("worker cgroup") {
  /// A directory that looks like a cgroup v2 with this process in /own.
  struct FakeCgroup {
    FakeCgroup() {
      for (const char* name : {"own", "own/agent", "own/slot3"})
        std::filesystem::create_directory(temp / "" + name);
      write("self", "4:memory:/old\n0::/own\n");
      write("own/cgroup.controllers", "cpu memory pids\n");
      for (const char* name :
           {"own/cgroup.subtree_control", "own/cgroup.procs", "own/agent/cgroup.procs",
            "own/slot3/cgroup.procs", "own/slot3/memory.max", "own/slot3/memory.oom.group"}) {
        write(name, "");
      }
      write("own/slot3/memory.events", "low 0\noom 5\noom_kill 5\n");
    }
    void write(const std::string& name, const std::string& text) { std::ofstream(temp / "" + name) << text; }
    std::string read(const std::string& name) {
      std::string out;
      std::getline(std::ifstream(temp / "" + name), out);
      return out;
    }
    std::unique_ptr<Cgroup> take_over() { return Cgroup::take_over(why, temp.path(), temp / "self"); }
    support::TempDirectory temp;
    std::string why;
  };

  TEST_CASE("where a cgroup is delegated the kernel limits each slot") {
    FakeCgroup fake;
    const auto cgroup = fake.take_over();
    REQUIRE(cgroup);
    CHECK(fake.read("own/agent/cgroup.procs") == "0");
    CHECK(fake.read("own/cgroup.subtree_control") == "+memory");
    CHECK(cgroup->enter_slot(3, 1000));
    CHECK(fake.read("own/slot3/memory.max") == "1000");
    CHECK(fake.read("own/slot3/memory.oom.group") == "1");
    CHECK(!cgroup->exceeded(3));  // those kills were of an earlier runner
    fake.write("own/slot3/memory.events", "low 0\noom 6\noom_kill 6\n");
    CHECK(cgroup->exceeded(3) == 1000);
    fake.write("own/slot3/memory.peak", "990\n");
    CHECK(cgroup->exceeded(3) == 990);
  }

  TEST_CASE("where it is not, nothing is touched and the reason is said") {
    FakeCgroup fake;
    SUBCASE("no memory controller") {
      fake.write("own/cgroup.controllers", "cpu pids\n");
      CHECK(!fake.take_over());
      CHECK(fake.why == "there is no cgroup v2 with a memory controller");
    }
    SUBCASE("version 1 only") {
      fake.write("self", "4:memory:/own\n");
      CHECK(!fake.take_over());
      CHECK(fake.why == "there is no cgroup v2 with a memory controller");
    }
    SUBCASE("no member may be moved") {
      std::filesystem::remove(fake.temp / "own/agent/cgroup.procs");
      CHECK(!fake.take_over());
      CHECK(fake.why == "the cgroup /own has other members than this worker");
    }
    CHECK(fake.read("own/cgroup.subtree_control") == "");
  }
}

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
// worker::BlobStore: large results, and tasks that use them. Programs and arguments are in
// test_worker_cache.cpp.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <filesystem>

#include "common/system/hash.hpp"
#include "tests/support/temp_directory.hpp"
#include "worker/store/blob_store.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker blob store");

namespace {

const std::string kText = "a program";
const BlobId kId = hash_of(kText);

std::string content_of(int fd) {
  std::string out(100, '\0');
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(pread(fd, out.data(), out.size(), 0), 0)));
  return out;
}

template <class T>
bool is(const std::optional<Event>& event) {
  return event && std::holds_alternative<T>(*event);
}

/// A memory file with the result of a task.
Fd memory_with(const std::string& text) {
  Fd memory(memfd_create("result", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(write(memory.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  return memory;
}

}  // namespace

TEST_CASE("a result is named by its hash and read in parts") {
  support::TempDirectory temp;
  Cache cache(temp.path());
  BlobStore store(cache);
  const BlobId id = store.add_result(memory_with(kText));
  CHECK(id == hash_of(kText));
  CHECK(store.read(id, 2, 4) == kText.substr(2, 4));
  CHECK(store.read(id, 8, 4) == "");
  store.drop(id);
  CHECK(store.read(id, 2, 4) == "");
}

TEST_CASE("a result that a task needs as well is stored once, and nobody can change it") {
  support::TempDirectory temp;
  Cache cache(temp.path());
  BlobStore store(cache, 1);
  void* writable = MAP_FAILED;  // a mapping of the runner
  std::string changed;
  SUBCASE("as it is") { store.add_result(memory_with(kText)); }
  SUBCASE("as a copy: its runner can still write to it") {
    Fd memory = memory_with(kText);
    writable = mmap(nullptr, kText.size(), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    REQUIRE(writable != MAP_FAILED);
    store.add_result(std::move(memory));
    SUBCASE("") {}
    SUBCASE("and has changed it") { static_cast<char*>(writable)[0] = 'A'; }
    changed = static_cast<char*>(writable)[0] == 'A' ? "A program" : "";
  }
  SUBCASE("as a copy: it has no descriptor") {
    store.add_result(memory_with("another result"));
    store.add_result(memory_with(kText));
  }
  if (!changed.empty()) {
    CHECK(is<BlobBad>(store.find({kId, kText.size(), ""})));
    CHECK(store.read(kId, 0, 9) == changed);  // the process that fetches it checks its hash
  } else {
    CHECK(is<BlobReady>(store.find({kId, kText.size(), ""})));
    if (writable != MAP_FAILED) static_cast<char*>(writable)[0] = 'A';
    CHECK(content_of(store.fd(kId)) == kText);
    CHECK((fcntl(store.fd(kId), F_GET_SEALS) & F_SEAL_WRITE) != 0);
    CHECK(store.read(kId, 2, 7) == "program");
    CHECK(is<BlobReady>(store.find({kId, kText.size(), "prog"})));  // a program runs from memory, too
  }
  store.drop(kId);
  CHECK(store.read(kId, 0, 1) == "");
  CHECK(is<BlobMissing>(store.find({kId, kText.size(), ""})));
  if (writable != MAP_FAILED) munmap(writable, kText.size());
}

TEST_CASE("a result that a task has made while it was fetched needs no fetching") {
  support::TempDirectory temp;
  Cache cache(temp.path());
  BlobStore store(cache);
  CHECK(is<BlobMissing>(store.find({kId, kText.size(), "prog"})));
  store.add_result(memory_with(kText));
  CHECK(is<BlobReady>(store.find({kId, kText.size(), "prog"})));
  CHECK(std::filesystem::is_empty(temp / "blobs"));  // no partial file is left
  CHECK(content_of(store.fd(kId)) == kText);
}

TEST_SUITE_END();

}  // namespace weft::worker

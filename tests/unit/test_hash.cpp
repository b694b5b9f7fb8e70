// SPDX-License-Identifier: MIT
#include "common/system/hash.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <set>
#include <string>
#include <system_error>
#include <vector>

namespace weft {

namespace {

struct Vector {
  std::string bytes;
  std::string hash;
};

/// BLAKE2b-256 by another implementation (Python's hashlib).
std::vector<Vector> vectors() {
  std::string long_one;
  for (int i = 0; i < 5000 * 256; ++i) long_one.push_back(static_cast<char>(i % 256));
  return {
      {"", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
      {"abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"},
      {"The quick brown fox jumps over the lazy dog",
       "01718cec35cd3d796dd00020e0bfecb473ad23457d063b75eff29c0ffa2e58a9"},
      {long_one, "a2ed75c072e2062fde5c3af1b32cac60cf2aa2f78a215c78a704514100c17e9b"},
  };
}

/// A file in memory, without a name.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& text) : fd_(memfd_create("test", MFD_CLOEXEC)) {
    REQUIRE(fd_ >= 0);
    REQUIRE(::write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

TEST_SUITE("hash") {
  TEST_CASE("a hash is BLAKE2b-256") {
    for (const Vector& vector : vectors()) CHECK(hash_of(vector.bytes).text() == vector.hash);
  }

  TEST_CASE("how the bytes are cut makes no difference") {
    for (const Vector& vector : vectors()) {
      for (const std::size_t piece :
           {std::size_t{1}, std::size_t{127}, std::size_t{128}, std::size_t{65537}}) {
        if (piece == 1 && vector.bytes.size() > 1000) continue;
        Hasher hasher;
        for (std::size_t i = 0; i < vector.bytes.size(); i += piece) {
          hasher.add(std::string_view(vector.bytes).substr(i, piece));
        }
        CHECK(hasher.finish().text() == vector.hash);
      }
    }
  }

  TEST_CASE("a file's hash is that of its bytes from the start, and its offset stays") {
    for (const Vector& vector : vectors()) {
      const MemoryFile file(vector.bytes);
      REQUIRE(lseek(file.fd(), 2, SEEK_SET) == 2);
      CHECK(hash_of_file(file.fd()).text() == vector.hash);
      CHECK(lseek(file.fd(), 0, SEEK_CUR) == 2);
    }
  }

  TEST_CASE("a descriptor that cannot be read throws") {
    CHECK_THROWS_AS(hash_of_file(-1), std::system_error);
    const int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(folder >= 0);
    CHECK_THROWS_AS(hash_of_file(folder), std::system_error);
    close(folder);
  }

  TEST_CASE("random ids differ and are never empty") {
    std::set<Uuid> ids;
    std::set<std::uint64_t> numbers;
    for (int i = 0; i < 1000; ++i) {
      ids.insert(random_uuid());
      numbers.insert(random_number());
    }
    CHECK(ids.size() == 1000);
    CHECK(numbers.size() == 1000);
    CHECK_FALSE(ids.contains(Uuid{}));
  }

  TEST_CASE("an id is printed in hexadecimal, as many digits as asked for") {
    Uuid id;
    CHECK(id.empty());
    id.bytes[0] = 0x0f;
    id.bytes[15] = 0xa0;
    CHECK_FALSE(id.empty());
    CHECK(id.text() == "0f0000000000000000000000000000a0");
    CHECK(id.text(8) == "0f000000");
    CHECK(TaskId{id, 17}.text() == "0f000000-17");
  }
}

}  // namespace weft

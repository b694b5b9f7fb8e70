// SPDX-License-Identifier: MIT
#include "tests/unit/captured_stderr.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "tests/support/condition.hpp"

namespace weft::client::test {

CapturedStderr::CapturedStderr() : file_(::memfd_create("stderr", MFD_CLOEXEC)), before_(::dup(2)) {
  std::fflush(stderr);
  ::dup2(file_, 2);
}

CapturedStderr::~CapturedStderr() {
  std::fflush(stderr);
  ::dup2(before_, 2);
  ::close(before_);
  ::close(file_);
}

std::string CapturedStderr::text() const {
  std::string all(static_cast<std::size_t>(::lseek(file_, 0, SEEK_CUR)), '\0');
  const ssize_t got = ::pread(file_, all.data(), all.size(), 0);
  all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return all;
}

bool CapturedStderr::eventually_has(const std::string& part) const {
  return support::eventually([&] { return support::contains(text(), part); });
}

std::size_t CapturedStderr::count(const std::string& part) const {
  const std::string all = text();
  std::size_t found = 0;
  for (std::size_t at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) ++found;
  return found;
}

}  // namespace weft::client::test

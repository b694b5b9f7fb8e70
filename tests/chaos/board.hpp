// SPDX-License-Identifier: MIT
// A page that a client process shares with the program that drives it: the client's progress, and the request
// to stop. It outlives the client, even a killed one.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace weft::chaos {

struct Counters {
  std::atomic<std::uint64_t> submitted{0};
  std::atomic<std::uint64_t> answered{0};  // counted in callbacks, so as soon as an answer has arrived
  std::atomic<std::uint64_t> verified{0};
  std::atomic<std::uint64_t> failed_rightly{0};  // verified answers that are the expected error
  std::atomic<bool> stop{false};                 // set by the driver: submit no more
};

class Board {
 public:
  /// Maps the page in `file`, which is created if it does not exist.
  explicit Board(const std::string& file) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(Counters)) != 0) throw std::runtime_error("cannot make " + file);
    void* page = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED) throw std::runtime_error("cannot map " + file);
    counters_ = static_cast<Counters*>(page);  // a new file is all zeros, like new Counters
  }
  ~Board() { munmap(counters_, sizeof(Counters)); }
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  Counters* operator->() const { return counters_; }

 private:
  Counters* counters_;
};

}  // namespace weft::chaos

// SPDX-License-Identifier: MIT
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <stdexcept>

#include "tests/bench/floor.hpp"

namespace weft::bench {

Child::Child(const std::function<void()>& work) : pid_(fork()) {
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int code = 0;
  try {
    work();
  } catch (const std::exception&) {
    code = 1;
  }
  _exit(code);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Child::join() {
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_ || status != 0) throw std::runtime_error("a child process failed");
  pid_ = -1;
}

Pipe::Pipe() {
  if (pipe(fds_) != 0) throw std::runtime_error("cannot make a pipe");
}

Pipe::~Pipe() {
  close(fds_[0]);
  close(fds_[1]);
}

void Pipe::put(const void* bytes, std::size_t size) const {
  if (::write(fds_[1], bytes, size) != static_cast<ssize_t>(size)) throw std::runtime_error("a pipe broke");
}

void Pipe::get(void* bytes, std::size_t size) const {
  if (::read(fds_[0], bytes, size) != static_cast<ssize_t>(size)) throw std::runtime_error("a pipe broke");
}

}  // namespace weft::bench

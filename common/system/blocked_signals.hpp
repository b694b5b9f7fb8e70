// SPDX-License-Identifier: MIT
// BlockedSignals: threads started during its lifetime block all signals, which are left to the program's own
// threads.
#pragma once

#include <pthread.h>

#include <csignal>

namespace weft {

class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace weft

// SPDX-License-Identifier: MIT
#include "common/system/daemon.hpp"

#include "common/system/standard_files.hpp"

namespace weft {

void start_daemon() noexcept {
  open_standard_files();
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction before {};
    const bool kept = signal == SIGHUP || signal == SIGQUIT;
    if (kept && sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    struct sigaction wanted {};
    wanted.sa_handler = signal == SIGPIPE || signal == SIGXFSZ ? SIG_IGN : SIG_DFL;
    sigaction(signal, &wanted, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

sigset_t block_stop_signals() noexcept {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  return stop;
}

}  // namespace weft

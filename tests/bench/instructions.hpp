// SPDX-License-Identifier: MIT
// Fixed pieces of work whose instructions are counted: scripts/instructions.sh. The input is the same in
// every run, and only code in the scope of a Counted is counted.
#pragma once

#include <cstdint>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else  // without valgrind nothing is counted
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_ZERO_STATS
#endif

namespace weft::bench {

/// While an object lives, callgrind counts (--collect-atstart=no). Without callgrind it costs nothing.
class Counted {
 public:
  Counted() { CALLGRIND_TOGGLE_COLLECT; }
  ~Counted() { CALLGRIND_TOGGLE_COLLECT; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

/// Resets the counts: all earlier instructions set the stage.
inline void count_from_here() { CALLGRIND_ZERO_STATS; }

/// client::ClientCore: submit, RECEIVED, DELIVER, ACK of `tasks` tasks.
void run_client_core(std::uint64_t tasks);
/// worker::WorkerCore: ASSIGN, run, RESULTS, RELEASE of `tasks` tasks.
void run_worker_core(std::uint64_t tasks);

}  // namespace weft::bench

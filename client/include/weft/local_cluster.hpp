// SPDX-License-Identifier: MIT
// A cluster on this machine, for as long as an object lives: for tests of programs, and for programs that
// bring their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace weft {

struct LocalClusterOptions {
  int workers = 1;
  int nprocs = 0;  ///< slots of each worker; 0: the cores, shared out among the workers
  std::vector<std::string> worker_args = {};  ///< for each weft-worker: {"--resources", "gpu=1"}
};

/// A broker on a free port of loopback and workers, with a directory of their own under $XDG_RUNTIME_DIR or
/// /tmp. The programs weft, weft-broker and weft-worker are those in $WEFT_BIN_DIR, where Weft is installed,
/// or on PATH. A broker or worker that dies is started again, as by `weft cluster up`; one that kill_worker()
/// has killed is not.
///
///   weft::LocalCluster cluster({.workers = 2, .nprocs = 4});
///   weft::Client client(cluster.address());
///   auto futures = client.map<inc>(std::views::iota(0L, 1000L));
///   cluster.kill_worker(0);                     // what it ran is executed again
///   client.gather(futures);
///
/// The cluster ends with this object, and also when this process ends in any other way. A Client of it is to
/// end first, or waits for a broker that will not come back. Calls are not to overlap.
///
/// In a runner (a task, or a static initialiser that runs there, too) nothing is started, and every call
/// throws Error; the constructor as well, inside a task.
class LocalCluster {
 public:
  /// Returns when all workers have joined. Throws Error with the reason when they do not.
  LocalCluster();
  explicit LocalCluster(LocalClusterOptions options);
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  /// Of the broker: "127.0.0.1:40123".
  const std::string& address() const;
  /// Starts one more worker and returns its number when it has joined: 0 is the first that was ever started.
  int start_worker();
  /// SIGKILL for worker number i, with all that it runs. It is not started again, and its number goes to no
  /// other. Throws std::out_of_range when there has been no such worker.
  void kill_worker(int i);

 private:
  struct State;
  State& state() const;

  std::unique_ptr<State> state_;  // null: in a runner
};

}  // namespace weft

// SPDX-License-Identifier: MIT
// A cluster on this machine, for the lifetime of an object: for tests of programs, and for programs that
// bring their own cluster.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace weft {

/// The workers of a LocalCluster. Negative numbers are invalid.
struct LocalClusterOptions {
  int workers = 1;
  int nprocs = 0;  ///< slots of each worker; 0: the cores, divided among the workers
  std::vector<std::string> worker_args = {};  ///< arguments of each weft-worker: {"--resources", "gpu=1"}
};

/// A broker on a free loopback port, and workers, with a private directory under $XDG_RUNTIME_DIR or /tmp.
/// The programs weft, weft-broker and weft-worker are those in $WEFT_BIN_DIR, where Weft is installed, or on
/// PATH. A broker or worker that dies is restarted, as by `weft cluster up`, but a worker that was killed by
/// kill_worker() is not.
///
///   weft::LocalCluster cluster({.workers = 2, .nprocs = 4});
///   weft::Client client(cluster.address());
///   auto futures = client.map<inc>(std::views::iota(0L, 1000L));
///   cluster.kill_worker(0);                     // its running tasks are executed again
///   client.gather(futures);
///
/// The cluster ends with this object, or when this process ends in any other way. Destroy the cluster's
/// Clients first: a Client that is left waits for a broker that will not come back. Not thread-safe.
///
/// A runner starts no cluster: inside a task the constructor throws Error; a static object can be
/// constructed, but its functions throw Error.
class LocalCluster {
 public:
  /// Starts the cluster and returns when all workers have joined. Throws Error with the reason if they do
  /// not, and std::invalid_argument for a negative number.
  LocalCluster();
  explicit LocalCluster(LocalClusterOptions options);
  /// Stops workers and broker. Running tasks have 1 s to finish.
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  /// The address of the broker: "127.0.0.1:40123".
  const std::string& address() const;
  /// Starts another worker and returns its number when the worker has joined. Numbers count all workers ever
  /// started, from 0. Throws Error with the reason if the worker does not join.
  int start_worker();
  /// Kills worker number `i` and its runners by SIGKILL. The worker is not restarted, and its number is not
  /// reused. Throws std::out_of_range if there has never been such a worker.
  void kill_worker(int i);

 private:
  struct State;
  State& state() const;

  std::unique_ptr<State> state_;  // null: in a runner
};

}  // namespace weft

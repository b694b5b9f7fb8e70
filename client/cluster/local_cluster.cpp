// SPDX-License-Identifier: MIT
#include "weft/local_cluster.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "client/cluster/binaries.hpp"
#include "client/cluster/private_cluster.hpp"
#include "common/runner/runner_loop.hpp"
#include "weft/error.hpp"
#include "weft/init.hpp"

namespace weft {

namespace {

/// Translates failures of the cluster to weft::Error.
template <class F>
auto translated(F work) {
  try {
    return work();
  } catch (const cluster::Failed& failed) {
    throw Error(failed.what());
  } catch (const std::system_error& error) {
    throw Error(error.what());
  }
}

[[noreturn]] void refuse_in_runner() {
  throw Error("a weft::LocalCluster cannot be used inside a task: make it in main");
}

}  // namespace

struct LocalCluster::State {
  explicit State(LocalClusterOptions options)
      : workers(options.workers),
        cluster(options.workers, options.nprocs, std::move(options.worker_args),
                cluster::find_binaries(WEFT_INSTALLED_PROGRAMS)) {}

  int workers;  // number of workers ever started
  cluster::PrivateCluster cluster;
};

LocalCluster::LocalCluster() : LocalCluster(LocalClusterOptions{}) {}

LocalCluster::LocalCluster(LocalClusterOptions options) {
  if (options.workers < 0 || options.nprocs < 0)
    throw std::invalid_argument("LocalClusterOptions: a number is negative");
  init();
  if (runner::is_serving()) refuse_in_runner();
  if (in_runner()) return;  // a static object in a runner
  state_ = translated([&] { return std::make_unique<State>(std::move(options)); });
}

LocalCluster::~LocalCluster() = default;

LocalCluster::State& LocalCluster::state() const {
  if (!state_) refuse_in_runner();
  return *state_;
}

const std::string& LocalCluster::address() const { return state().cluster.address(); }

int LocalCluster::start_worker() {
  State& mine = state();
  translated([&] { return mine.cluster.start_worker(); });
  return mine.workers++;
}

void LocalCluster::kill_worker(int i) {
  State& mine = state();
  if (i < 0 || i >= mine.workers)
    throw std::out_of_range(
        fmt::format("there is no worker {}: the number of workers started so far is {}", i, mine.workers));
  translated([&] {
    mine.cluster.kill_worker(fmt::format("worker-{}", i + 1));
    return 0;
  });
}

}  // namespace weft

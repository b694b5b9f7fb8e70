// SPDX-License-Identifier: MIT
// RunnerLauncher starts runners, each with its program and shared libraries, a scratch directory, and the
// cgroup of its slot. Owned by RunnerPool.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "worker/core/events.hpp"
#include "worker/runners/cgroup.hpp"
#include "worker/runners/fork_server.hpp"
#include "worker/runners/runner_process.hpp"
#include "worker/store/blob_store.hpp"

namespace weft::worker {

class RunnerLauncher {
 public:
  struct Settings {
    std::string runner_program;                 // weft-runner
    std::vector<std::string> libraries;         // paths of the task libraries that weft-runner loads
    std::optional<std::uint64_t> memory_limit;  // bytes, for each slot
    std::string directory;                      // parent of the scratch directories
  };
  /// Takes over the cgroup of this process if there is a memory limit, and logs whether that is possible.
  RunnerLauncher(Settings settings, ForkServer& server, BlobStore& blobs);

  const std::optional<std::uint64_t>& memory_limit() const { return settings_.memory_limit; }
  /// Whether the kernel kills the processes of a slot that exceeds the memory limit.
  bool kernel_enforces_limit() const { return cgroup_ != nullptr; }
  /// The peak memory use of the slot in bytes, if the kernel has killed a process over the limit.
  std::optional<std::uint64_t> exceeded(std::uint32_t slot) const {
    return cgroup_ ? cgroup_->exceeded(slot) : std::nullopt;
  }

  /// The name of the executable, for messages.
  static const std::string& name_of(const Program& program);
  /// Starts the process. Throws std::exception, with the reason.
  std::unique_ptr<RunnerProcess> launch(const StartRunner& action);
  /// From now on, programs with these libraries are started with more static TLS; see kTlsTunable. False:
  /// they have had it already, so a further start would not help.
  bool enlarge_tls(const std::vector<wire::FileRef>& libraries) {
    return large_tls_.insert(libraries).second;
  }

 private:
  void add_program(const Program& program, RunnerProcess::Launch& launch, std::vector<Fd>& copies);
  void add_libraries(const Program& program, RunnerProcess::Launch& launch, std::vector<Fd>& copies);
  Fd open_weft_runner(RunnerProcess::Launch& launch) const;

  Settings settings_;
  ForkServer& server_;
  BlobStore& blobs_;
  std::unique_ptr<Cgroup> cgroup_;  // nullptr: no limit, or it is enforced by polling
  Fd loader_;                       // the loader's auditor, once it has been needed
  std::set<std::vector<wire::FileRef>> large_tls_;
};

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
// Eligibility: which workers can run the tasks of a ready queue, now or ever, and why none can. Counts the
// functions and memory sizes that workers offer; of a worker only its refusals are changed here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/step.hpp"

namespace weft::broker {

class Eligibility {
 public:
  Eligibility(const Settings& settings, const Roster& roster, const Step& step)
      : settings_(settings), roster_(roster), step_(step) {}

  /// A worker has joined: its functions and its memory count. True: it has less memory than every worker
  /// before it, so that is_large() holds for more tasks.
  bool add(const Worker& worker);
  void remove(const Worker& worker);
  /// Changes whenever a worker joins or leaves.
  std::uint64_t membership() const { return membership_; }

  // ---- one worker ----

  /// By its name, slots, resources and protocol version.
  static bool may_ever_run(const Worker& worker, const Placement& placement);
  /// Whether the worker could if it were idle: it is present, and the program has not just failed to start on
  /// it.
  bool could_run(const Worker& worker, const Placement& placement) const;
  /// could_run(), and the resources are free. `large`: a task whose argument must fit into the worker's
  /// memory.
  bool fits_now(const Worker& worker, const Placement& placement, const Task* large = nullptr) const;
  static bool is_preferred(const Worker& worker, const Placement& placement);
  /// nullptr stands for a task with a small argument.
  static bool has_memory_for(const Task* task, const Worker& worker);
  /// The program did not start on this worker. It is not tried there again for a time that doubles with each
  /// refusal (exponential back-off): a round through many or slow workers would otherwise never end.
  void note_refusal(Worker& worker, const BlobId& program, const wire::Payload& reason) const;

  /// The program has started on this worker: its next refusal is a first one.
  static void note_start(Worker& worker, const BlobId& program);

  // ---- all workers ----

  /// The workers that may_ever_run() the tasks of `queue`, in the order in which they joined. Valid until
  /// membership() changes.
  const std::vector<Worker*>& candidates_of(ReadyQueue& queue) const;
  /// Whether the argument is larger than the memory of some worker. An inline argument never is.
  bool is_large(const Task& task) const {
    return task.payload.is_blob() && task.payload.blob().size > least_memory_;
  }
  /// If every worker that could otherwise run the placement is too old for one of its options: the newest
  /// minor version among these workers.
  std::optional<std::uint8_t> too_old_for(const Placement& placement) const;
  /// The latest refusal of a program that starts on none of the workers that could run it (and have memory
  /// for `large`, if given). nullptr: some worker has not refused it.
  const Refusal* refused_everywhere(const Placement& placement, const Task* large = nullptr) const;
  /// Lets all workers try the program again.
  void forget_refusals(const BlobId& program) const;

  // ---- reasons, for people ----

  /// Why no present worker can run the placement; "" when one could if it were idle.
  std::string explain(const Placement& placement) const;
  /// Why a worker takes no new tasks, or only one at a time; "" when it takes tasks normally.
  static std::string why_held(const wire::Heartbeat& hold);
  /// The same for all workers that could run the placement; "" when one of them takes tasks normally.
  std::string why_held(const Placement& placement) const;
  /// Why no worker that may ever run the task has memory for its argument; "" when one has, or when no worker
  /// may ever run it.
  std::string why_too_large(const Task& task) const;

 private:
  bool is_possible_elsewhere(const Worker& worker, const Placement& placement, const Task* large) const;
  bool has_function(const Worker& worker, const Placement& placement) const;
  const Worker* largest_for(const Placement& placement) const;
  std::string why_never(const Placement& placement) const;

  const Settings& settings_;
  const Roster& roster_;
  const Step& step_;
  std::map<std::string, std::size_t> functions_;   // in task libraries: how many workers have each
  std::map<std::uint64_t, std::size_t> memories_;  // in bytes: how many workers have that much
  std::uint64_t least_memory_ = UINT64_MAX;        // the smallest key of memories_
  std::uint64_t membership_ = 1;
};

}  // namespace weft::broker

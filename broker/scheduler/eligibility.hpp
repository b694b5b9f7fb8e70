// SPDX-License-Identifier: MIT
// Eligibility: which workers can run the tasks of a ready queue, now or ever, and why none can. Counts what
// the workers offer; the only part of a worker that it changes is Worker::cannot_start.
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
  /// Whether the worker could run it if idle: the worker is neither draining nor lost, and the program has
  /// not just failed to start there.
  bool could_run(const Worker& worker, const Placement& placement) const;
  /// Whether the worker's resources are free too. `large`: a task whose argument must fit into its memory.
  bool fits_now(const Worker& worker, const Placement& placement, const Task* large = nullptr) const;
  static bool is_preferred(const Worker& worker, const Placement& placement);
  /// nullptr stands for a task with a small argument.
  static bool has_memory_for(const Task* task, const Worker& worker);
  /// The program did not start on this worker, and is not tried there again for a time that doubles with each
  /// refusal (back-off): otherwise trying many or slow workers one after the other would never end.
  void note_refusal(Worker& worker, const BlobId& program, const wire::Payload& reason) const;

  /// The program has started on this worker: its next refusal is a first one.
  static void note_start(Worker& worker, const BlobId& program);

  // ---- all workers ----

  /// Those that may_ever_run the tasks of `queue`, in the order in which they joined.
  const std::vector<Worker*>& candidates_of(ReadyQueue& queue) const;
  /// Whether the argument is larger than the memory of some worker. An inline argument never is.
  bool is_large(const Task& task) const {
    return task.payload.is_blob() && task.payload.blob().size > least_memory_;
  }
  /// The newest protocol minor among the workers that could run it, if all of them are too old for one of its
  /// options; nullopt: one is new enough, or there is none.
  std::optional<std::uint8_t> too_old_for(const Placement& placement) const;
  /// The latest refusal of a program that starts on none of the workers that could run it (and have memory
  /// for `large`, if given). nullptr: some worker has not refused it.
  const Refusal* refused_everywhere(const Placement& placement, const Task* large = nullptr) const;
  /// Lets all workers try the program again.
  void forget_refusals(const BlobId& program) const;

  // ---- reasons, for people ----

  /// Why no present worker can run it, or "" when one could if it were idle.
  std::string explain(const Placement& placement) const;
  /// Why the worker takes nothing new, or only one task at a time; "" when it does not hold.
  static std::string why_held(const wire::Heartbeat& hold);
  /// The same for all workers that could run it; "" when one of them does not hold.
  std::string why_held(const Placement& placement) const;
  /// Why no worker that may ever run it has memory for its argument; "" when one has, or when there is none.
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

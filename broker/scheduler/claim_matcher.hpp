// SPDX-License-Identifier: MIT
// ClaimMatcher: when a worker has joined, compares its claimed attempts with the broker's tasks and decides
// for each attempt: adopt it, stop it, go on as before, or run the task again. PROTOCOL.md section 4 has the
// decision tables; Adoption has the claims whose task is not known yet.
#pragma once

#include "broker/scheduler/lifecycle.hpp"
#include "broker/scheduler/retries.hpp"
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

class ClaimMatcher {
 public:
  ClaimMatcher(Tables& tables, Lifecycle& lifecycle, Retries& retries)
      : tables_(tables), lifecycle_(lifecycle), retries_(retries) {}

  /// A joining worker sent CLAIMS: stores them until it is ready.
  static void add(Worker& worker, const wire::Claims& claims);
  /// The worker is ready, and has claimed all its attempts: decides about each, and about the tasks that this
  /// broker assigned to it and it did not claim.
  void match(Worker& worker);
  /// Adopts a task that no worker has, unless the claim is stale or over. True: the task is adopted.
  bool try_adopt(Worker& worker, Task& task, const wire::ClaimRecord& claim);

 private:
  void put_back_unclaimed(Worker& worker);
  void match(Worker& worker, const Uuid& session_id, const wire::ClaimRecord& claim);

  Tables& tables_;
  Lifecycle& lifecycle_;
  Retries& retries_;
};

}  // namespace weft::broker

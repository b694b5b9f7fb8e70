// SPDX-License-Identifier: MIT
// Parts: what the classes inside the scheduler need, for tests of one of them alone.
#pragma once

#include <string>
#include <vector>

#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/step.hpp"
#include "scheduler_harness.hpp"

namespace weft::broker {

struct Parts {
  Settings settings = test_settings();
  Roster roster;
  Step step{roster, Time{}, 0};
  Actions actions;

  Parts() { step.begin(Time{}, actions); }

  void advance(Duration duration) { step.begin(step.now() + duration, actions); }

  /// A worker that has said READY. Its incarnation is uuid(number).
  Worker& add_worker(std::uint8_t number, std::uint32_t slots = 1, wire::HelloWorker hello = {}) {
    hello.incarnation = uuid(number);
    hello.name = "w" + std::to_string(number);
    hello.slots = slots;
    Worker& worker = roster.add_worker(hello);
    worker.slots = slots;
    worker.state = WorkerState::ready;
    worker.minor = wire::kMinor;
    worker.resources_free = hello.resources;
    worker.credit = slots;
    return worker;
  }
};

}  // namespace weft::broker

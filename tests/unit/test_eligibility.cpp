// SPDX-License-Identifier: MIT
#include "broker/scheduler/eligibility.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

struct Stage : Parts {
  Eligibility& eligibility = tables.eligibility;

  Worker& join(std::uint8_t number, std::uint32_t slots = 1, wire::HelloWorker hello = {}) {
    Worker& worker = add_worker(number, slots, std::move(hello));
    eligibility.add(worker);
    return worker;
  }
};

Placement needing(const std::string& resource, double amount) {
  Placement placement;
  placement.resources = {{resource, amount}};
  return placement;
}

}  // namespace

TEST_SUITE("eligibility") {
  TEST_CASE("a worker must have the slots, the resources, the name and the version") {
    Stage s;
    Worker& worker = s.join(1, 2, {.resources = {{"gpu", 1}}});
    CHECK(Eligibility::may_ever_run(worker, {}));
    CHECK(Eligibility::may_ever_run(worker, needing("gpu", 1)));
    CHECK_FALSE(Eligibility::may_ever_run(worker, needing("gpu", 1.5)));
    CHECK_FALSE(Eligibility::may_ever_run(worker, needing("licence", 1)));
    Placement wide;
    wide.threads = 3;
    CHECK_FALSE(Eligibility::may_ever_run(worker, wide));
    Placement named;
    named.workers = {"w2"};
    CHECK_FALSE(Eligibility::may_ever_run(worker, named));
    Placement newer;
    newer.minor = 1;
    worker.minor = 0;
    CHECK_FALSE(Eligibility::may_ever_run(worker, newer));
  }

  TEST_CASE("resources that are in use, and zombie attempts, keep a task away for now") {
    Stage s;
    Worker& worker = s.join(1, 2, {.resources = {{"gpu", 1}}});
    const Placement gpu = needing("gpu", 1);
    CHECK(s.eligibility.fits_now(worker, gpu));
    worker.resources_free["gpu"] = 0;
    CHECK_FALSE(s.eligibility.fits_now(worker, gpu));
    CHECK(s.eligibility.could_run(worker, gpu));
    worker.resources_free["gpu"] = 1;
    worker.zombies.edit().insert({TaskId{uuid(9), 1}, {}});  // the zombie attempt may use the device
    CHECK_FALSE(s.eligibility.fits_now(worker, gpu));
    CHECK(s.eligibility.fits_now(worker, {}));
  }

  TEST_CASE("a program that did not start is tried there again later, after twice the time each time") {
    Stage s;
    Worker& worker = s.join(1);
    Placement placement;
    placement.program = blob_id(1);
    const Duration first = s.settings.cannot_start_memory;
    s.eligibility.note_refusal(worker, blob_id(1), wire::Payload(std::string_view("why")));
    CHECK_FALSE(s.eligibility.could_run(worker, placement));
    CHECK(s.eligibility.refused_everywhere(placement) != nullptr);
    s.advance(first);
    CHECK(s.eligibility.could_run(worker, placement));
    s.eligibility.note_refusal(worker, blob_id(1), wire::Payload(std::string_view("why")));
    s.advance(2 * first - Duration(1));
    CHECK_FALSE(s.eligibility.could_run(worker, placement));
    s.advance(Duration(1));
    CHECK(s.eligibility.could_run(worker, placement));
    Eligibility::note_start(worker, blob_id(1));
    s.eligibility.note_refusal(worker, blob_id(1), wire::Payload(std::string_view("why")));
    s.advance(first);
    CHECK(s.eligibility.could_run(worker, placement));
  }

  TEST_CASE("one worker that has not refused the program is enough") {
    Stage s;
    Placement placement;
    placement.program = blob_id(1);
    s.eligibility.note_refusal(s.join(1), blob_id(1), wire::Payload(std::string_view("why")));
    s.join(2);
    CHECK(s.eligibility.refused_everywhere(placement) == nullptr);
    s.roster.find_worker_called("w2")->state = WorkerState::draining;
    CHECK(s.eligibility.refused_everywhere(placement) != nullptr);
    s.eligibility.forget_refusals(blob_id(1));
    CHECK(s.eligibility.refused_everywhere(placement) == nullptr);
  }

  TEST_CASE("add() tells when an argument may be too large for the newcomer alone") {
    Stage s;
    CHECK(s.eligibility.add(s.add_worker(1, 1, {.memory = 1000})));
    CHECK_FALSE(s.eligibility.add(s.add_worker(2, 1, {.memory = 2000})));
    CHECK_FALSE(s.eligibility.add(s.add_worker(3)));  // a worker that does not report its memory
    CHECK(s.eligibility.add(s.add_worker(4, 1, {.memory = 500})));
    Task task;
    task.payload = wire::Payload(wire::BlobRef{uuid(9), blob_id(1), 700});
    CHECK(s.eligibility.is_large(task));
    s.eligibility.remove(*s.roster.find_worker_called("w4"));
    CHECK_FALSE(s.eligibility.is_large(task));
  }

  TEST_CASE("explain() names the first constraint that no worker meets") {
    Stage s;
    CHECK_FALSE(s.eligibility.explain({}).empty());
    s.join(1, 2, {.resources = {{"gpu", 1}}});
    CHECK(s.eligibility.explain({}).empty());
    CHECK(s.eligibility.explain(needing("gpu", 2)).find("gpu=2") != std::string::npos);
    Placement wide;
    wide.threads = 3;
    CHECK(s.eligibility.explain(wide).find("3 slots") != std::string::npos);
    Placement named;
    named.workers = {"elsewhere"};
    CHECK(s.eligibility.explain(named).find("elsewhere") != std::string::npos);
  }
}

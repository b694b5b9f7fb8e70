// SPDX-License-Identifier: MIT
// A worker and brokers of other minor versions: an unknown kind of task is answered, not run, and an unknown
// kind of REVOKE stops nothing.
#include "tests/unit/worker_harness.hpp"

namespace weft::worker {

TEST_SUITE("worker session: versions") {
  TEST_CASE("a kind of task that only a newer broker knows is answered, and never run") {
    Joined h;
    wire::TaskSpec spec = library_spec();
    spec.kind = wire::TaskKind::unknown;
    h.define(spec);
    h.assign(1, 1);
    const Actions actions = h.take();
    REQUIRE(actions.size() == 1);
    const auto& results = std::get<wire::Results>(*std::get<Send>(actions[0]).message);
    REQUIRE(results.records.size() == 1);
    CHECK(results.records[0].outcome == wire::Outcome::cannot_start);
    const auto info = wire::decode_error(results.records[0].payload.inline_bytes());
    CHECK(info->message.find("does not know this kind of task") != std::string::npos);
    CHECK(h.session.task_count() == 0);
    CHECK(h.session.runner_count() == 0);
  }

  TEST_CASE("a way to revoke that only a newer broker knows stops nothing") {
    Joined h;
    h.define(library_spec());
    h.assign(1, 1);
    h.expect<StartRunner>();
    h.revoke(1, wire::RevokeMode::unknown);
    CHECK(h.take() == Actions{});
    CHECK(h.session.task_count() == 1);
  }

  TEST_CASE("what a newer client has added to a task goes no further than the worker") {
    Joined h;
    h.define(library_spec());
    wire::AssignRecord record = Harness::record(1);
    record.payload = record.payload.with_tail({1, 0, "\x07"});
    h.receive(wire::Assign{kAda, {record}});
    CHECK(h.session.task_count() == 1);
    h.expect<StartRunner>();
  }
}

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
// Attachments alone: which client watches which detached task, and the answer to FIND.
#include "broker/scheduler/attachments.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;
using Phase = Detached::Phase;

namespace {

wire::TaskSpec labelled(const std::string& label) {
  wire::TaskSpec spec = any_spec();
  spec.detach = true;
  spec.label = label;
  spec.function = "f";
  return spec;
}

struct Stage : Parts {
  Attachments& attachments = tables.attachments;
  Session& owner = join_client(9, labelled("sweep"));
  Session& client = join_client(8);

  ~Stage() { check_invariants(); }
  /// Adds a detached task of the owner that is in the journal.
  Task& add_open() {
    Task& task = queue_task(owner);
    Detached& entry = owner.detached[task.seq];
    entry.phase = Phase::open;
    entry.recorded = entry.journaled = true;
    entry.spec = task.spec;
    ++task.spec->open_tasks;
    return task;
  }
  /// The same, with an answer.
  Detached& add_finished() {
    Task& task = add_open();
    Detached& entry = owner.detached.at(task.seq);
    entry.phase = Phase::finished;
    tables.durable.set_answer(owner, entry, answer_as(task.seq));
    lifecycle.erase(task);
    return entry;
  }
  static wire::DeliveryRecord answer_as(std::uint64_t seq) {
    return {seq, wire::DeliveryKind::final, wire::Outcome::ok, 0, 0, wire::Payload("result")};
  }
  static wire::DeliveryRecord charge_as(std::uint64_t seq, std::uint32_t retries_used) {
    return {seq, wire::DeliveryKind::charged, wire::Outcome::failed, retries_used, 0, wire::Payload("why")};
  }
  /// Attaches task `seq` of the client to detached task `of`.
  void attach(std::uint64_t seq, std::uint64_t of, std::uint32_t charges_known = 0) {
    attachments.watch(client, seq, wire::Payload(wire::encode_ref({owner.id, of})), charges_known);
  }
  std::vector<wire::DeliveryRecord> delivered() { return client.deliveries.take(1'000'000).records; }
};

}  // namespace

TEST_SUITE("attachments") {
  TEST_CASE("a task that is attached to an open one waits, and hears that it runs") {
    Stage s;
    Task& task = s.add_open();
    s.attach(3, task.seq);
    CHECK(s.client.watches.at(3) == TaskId{s.owner.id, task.seq});
    CHECK(s.delivered().empty());
    CHECK(s.take() == Actions{});
    s.lifecycle.assign(task, s.join_worker(1));
    s.lifecycle.note_started(task);
    s.attach(4, task.seq);
    CHECK(s.take() == Actions{Send{s.client.peer, wire::Running{{4}}}});
    CHECK(s.owner.detached.at(task.seq).watchers.size() == 2);
  }

  TEST_CASE("a finished task is answered at once, and stays until this client has fetched it") {
    Stage s;
    s.add_finished().fetched = true;  // by another program
    s.owner.state = SessionState::detached;
    s.attach(3, 1);
    CHECK(s.delivered() == std::vector{Stage::answer_as(3)});
    s.tables.durable.drop_when_free(s.owner, 1);
    CHECK(s.owner.detached.contains(1));
    s.tables.durable.on_fetched(s.client, {{{s.owner.id, 1}}});
    CHECK(s.owner.detached.empty());
    CHECK(s.client.watches.empty());
  }

  TEST_CASE("an answer that this client has already is not waited for") {
    Stage s;
    s.add_finished().had = {s.client.id};
    s.attach(3, 1);
    CHECK(s.delivered() == std::vector{Stage::answer_as(3)});
    CHECK(s.client.watches.empty());
  }

  TEST_CASE("a task that is unknown, or was not accepted yet, is refused") {
    Stage s;
    Task& task = s.add_open();
    s.owner.detached.at(task.seq).phase = Phase::saving;
    s.attach(3, task.seq);
    s.attach(4, 77);
    s.attachments.watch(s.client, 5, wire::Payload("no reference"), 0);
    const auto refused = s.delivered();
    REQUIRE(refused.size() == 3);
    for (const auto& record : refused) CHECK(record.outcome == wire::Outcome::refused);
    CHECK(s.client.watches.empty());
    s.owner.detached.at(task.seq).phase = Phase::open;
  }

  TEST_CASE("charges that the client has not heard of are told, under its own number") {
    Stage s;
    Task& task = s.add_open();
    s.owner.detached.at(task.seq).charges = {Stage::charge_as(1, 1), Stage::charge_as(1, 2)};
    s.attach(3, task.seq, 1);
    CHECK(s.delivered() == std::vector{Stage::charge_as(3, 2)});
  }

  TEST_CASE("a client that attaches again is one watcher") {
    Stage s;
    Task& task = s.add_open();
    s.attach(3, task.seq);
    s.attach(3, task.seq);
    CHECK(s.owner.detached.at(task.seq).watchers.size() == 1);
  }

  TEST_CASE("an answer that only this client still wanted goes with it") {
    Stage s;
    Task& open = s.add_open();
    Detached& finished = s.add_finished();
    s.owner.state = SessionState::detached;
    s.attach(3, open.seq);
    s.attach(4, 2);
    finished.fetched = true;
    s.attachments.stop_watching(s.client);
    CHECK(s.client.watches.empty());
    CHECK_FALSE(s.owner.detached.contains(2));
    CHECK(s.owner.detached.at(open.seq).watchers.empty());
  }

  TEST_CASE("FIND names the tasks with this label whose answers nobody has, by function") {
    Stage s;
    s.tables.specs.define(s.owner, 2, labelled("other"), "");
    s.add_open();
    s.add_finished();
    s.add_finished().fetched = true;
    Task& other = s.queue_task(s.owner, 2);
    s.owner.detached[other.seq].spec = other.spec;
    ++other.spec->open_tasks;
    const wire::Found found = s.attachments.find(identity_of(nullptr), {"sweep"}, wire::kMinor);
    CHECK(found.total == 2);
    CHECK(found.tasks == std::vector<wire::FoundRecord>{{s.owner.id, 1, 1, false}, {s.owner.id, 2, 1, true}});
    CHECK(found.sweeps == std::vector<wire::Sweep>{{s.owner.id, "c9", "", "f", 0}});
    const wire::Found older =
        s.attachments.find(identity_of(nullptr), {"sweep"}, 1);  // a client that does not know sweeps
    CHECK(older.tasks == std::vector<wire::FoundRecord>{{s.owner.id, 1}, {s.owner.id, 2}});
    CHECK(older.sweeps.empty());
  }

  TEST_CASE("what FIND has named stays for a while, also when this process stood still") {
    Stage s;
    s.add_finished();
    s.attachments.find(identity_of(nullptr), {"sweep"}, wire::kMinor);
    const Time until = s.owner.detached.at(1).found_until;
    CHECK(until > s.step.now());
    const Time before = s.step.now();
    s.advance(std::chrono::hours(1));
    s.attachments.renew_found_grace(before);
    CHECK(s.owner.detached.at(1).found_until == until + std::chrono::hours(1));
    s.attachments.renew_found_grace(s.owner.detached.at(1).found_until);  // the grace period was over by then
    CHECK(s.owner.detached.at(1).found_until == until + std::chrono::hours(1));
  }
}

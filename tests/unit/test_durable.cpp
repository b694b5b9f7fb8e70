// SPDX-License-Identifier: MIT
// Durable alone: the entry of a detached task, from its arrival until its answer was fetched, and the orders
// to the journal and the blob vault in that time.
#include "broker/scheduler/durable.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;
using Phase = Detached::Phase;

namespace {

wire::TaskSpec detached_spec() {
  wire::TaskSpec spec = any_spec();
  spec.detach = true;
  return spec;
}

Settings with_journal() {
  Settings settings = test_settings();
  settings.journal = true;
  settings.unix_us_at_zero = 5'000'000;
  return settings;
}

std::string row_of(const std::vector<JournalRecord>& records) {
  std::string row;
  for (const JournalRecord& record : records) append_record(row, record);
  return row;
}

struct Stage : Parts {
  Durable& durable = tables.durable;
  Session& client = join_client(9, detached_spec());
  const Uuid worker = uuid(1);

  Stage() : Parts(with_journal()) {}
  ~Stage() { check_invariants(); }

  /// Adds a task that is on its way into the journal.
  Task& save(const wire::Payload& payload = wire::Payload("arg")) {
    Task& task = add_task(client, 1, payload);
    lifecycle.await_journal(task);
    durable.save(task);
    return task;
  }
  Detached& entry(std::uint64_t seq) { return client.detached.at(seq); }
  /// The journal writes its next row; returns the row, or "" if there is none.
  std::string commit() {
    auto row = tables.journal_queue.next_row(step.now());
    if (!row) return "";
    tables.journal_queue.on_persisted(step.now(), {row->number, ""});
    return row->row;
  }
  /// Adds a task that is in the journal.
  Task& accept() {
    Task& task = save();
    commit();
    entry(task.seq).journaled = true;
    entry(task.seq).phase = Phase::open;
    lifecycle.queue(task);
    return task;
  }
  static wire::DeliveryRecord answer_of(std::uint64_t seq, const std::string& payload = "result") {
    return {seq, wire::DeliveryKind::final, wire::Outcome::ok, 0, 0, wire::Payload(payload)};
  }
  /// Adds a task whose answer is in the journal.
  std::uint64_t finish() {
    Task& task = accept();
    const std::uint64_t seq = task.seq;
    lifecycle.complete(task, true, wire::Payload("result"));
    commit();
    durable.on_answer_saved({client.id, 0, answer_of(seq)});
    return seq;
  }
  void fetched_by(const Session& session, std::uint64_t seq) {
    durable.on_fetched(session, {{{client.id, seq}}});
  }
};

}  // namespace

TEST_SUITE("durable") {
  TEST_CASE("the journal gets the session and the spec once, and then each task") {
    Stage s;
    Task& first = s.save();
    CHECK(s.entry(1).phase == Phase::saving);
    CHECK(s.entry(1).recorded);
    CHECK(s.entry(1).submitted_ms == 5000);
    s.save();
    CHECK(s.commit() == row_of({SessionRecord{s.client.id, s.client.name, s.client.host},
                                SpecRecord{s.client.id, 1, detached_spec(), first.spec->minor},
                                TaskRecord{s.client.id, 1, 1, 5000, wire::Payload("arg")},
                                TaskRecord{s.client.id, 2, 1, 5000, wire::Payload("arg")}}));
    CHECK(first.spec->open_tasks == 4);  // each counts as a task and as an entry
  }

  TEST_CASE("a task is recorded when everything that it needs is kept") {
    Stage s;
    const wire::BlobRef argument{s.client.id, blob_id(7), 0};
    Task& task = s.save(wire::Payload(argument));
    CHECK(s.entry(1).missing == 1);
    CHECK_FALSE(s.entry(1).recorded);
    CHECK(s.commit().empty());
    s.tables.blob_vault.take_gets(s.step.now(), s.actions);
    s.tables.blob_vault.on_ready({blob_id(7)}, s.actions);
    const auto settled = s.durable.take_settled();
    REQUIRE(settled.size() == 1);
    CHECK(settled[0].task == TaskId{s.client.id, 1});
    CHECK(settled[0].fault.empty());
    s.durable.record(task);
    CHECK(s.entry(1).recorded);
  }

  TEST_CASE("a charge is journaled, and those who watch the task hear of it under their own number") {
    Stage s;
    Session& watcher = s.join_client(8);
    s.accept();
    s.entry(1).watchers.push_back({watcher.id, 3});
    watcher.watches[3] = {s.client.id, 1};
    wire::DeliveryRecord charge{1, wire::DeliveryKind::charged, wire::Outcome::crashed, 0,
                                1, wire::Payload("why")};
    s.durable.take_charge(s.client, s.entry(1), charge);
    CHECK(s.entry(1).unsaved());
    CHECK(s.commit() == row_of({ChargeRecord{s.client.id, charge}}));
    s.durable.on_charge_saved({s.client.id, charge});
    CHECK_FALSE(s.entry(1).unsaved());
    charge.seq = 3;
    CHECK(watcher.deliveries.take(1000) == wire::Deliver{1, {charge}});
  }

  TEST_CASE("an answer is delivered when the journal has it") {
    Stage s;
    Task& task = s.accept();
    s.lifecycle.complete(task, true, wire::Payload("result"));
    CHECK(s.entry(1).phase == Phase::finishing);
    CHECK(s.client.deliveries.empty());
    CHECK(s.roster.queued_bytes() == std::string("result").size());
    CHECK(s.commit() == row_of({FinalRecord{s.client.id, 5000, Stage::answer_of(1)}}));
    s.durable.on_answer_saved({s.client.id, 5000, Stage::answer_of(1)});
    CHECK(s.entry(1).phase == Phase::finished);
    CHECK(s.client.deliveries.take(1000) == wire::Deliver{1, {Stage::answer_of(1)}});
    CHECK(s.step.next_timer() == s.step.now() + s.settings.result_ttl);
  }

  TEST_CASE("a task that is over before it was recorded leaves nothing behind") {
    Stage s;
    const wire::BlobRef argument{s.client.id, blob_id(7), 100};
    Task& task = s.save(wire::Payload(argument));
    s.lifecycle.cancel(task);
    CHECK(s.client.detached.empty());
    CHECK(s.client.tasks.empty());
    CHECK(s.client.deliveries.last() == 1);
    CHECK(s.commit().empty());
    CHECK(s.take() == Actions{DropBlob{blob_id(7)}});
  }

  TEST_CASE("an entry stays until its own client and every watcher has the answer") {
    Stage s;
    Session& watcher = s.join_client(8);
    const std::uint64_t seq = s.finish();
    s.entry(seq).watchers.push_back({watcher.id, 3});
    watcher.watches[3] = {s.client.id, seq};
    s.fetched_by(s.client, seq);
    CHECK(s.client.detached.contains(seq));
    s.fetched_by(watcher, seq);
    CHECK_FALSE(s.client.detached.contains(seq));
    CHECK(watcher.watches.empty());
    CHECK(s.commit() == row_of({GoneRecord{s.client.id, seq}}));
    CHECK(s.roster.queued_bytes() == 0);
    CHECK(s.client.specs.at(1)->open_tasks == 0);
  }

  TEST_CASE("of a client that is gone for good the answer is not waited for to be fetched") {
    Stage s;
    const std::uint64_t seq = s.finish();
    s.fetched_by(s.join_client(8), seq);
    CHECK(s.client.detached.contains(seq));  // its own client is connected and holds a Future
    s.client.state = SessionState::detached;
    s.durable.drop_when_free(s.client, seq);
    CHECK(s.client.detached.empty());
  }

  TEST_CASE("an answer that FIND has just named stays for those who are about to attach") {
    Stage s;
    const std::uint64_t seq = s.finish();
    s.entry(seq).found_until = s.step.now() + std::chrono::seconds(5);
    s.fetched_by(s.client, seq);
    CHECK(s.client.detached.contains(seq));
    s.advance(std::chrono::seconds(5));
    s.durable.drop_when_free(s.client, seq);
    CHECK(s.client.detached.empty());
  }

  TEST_CASE("an answer is kept for so long, and for its watchers until they have it") {
    Stage s;
    Session& watcher = s.join_client(8);
    const std::uint64_t seq = s.finish();
    s.entry(seq).watchers.push_back({watcher.id, 3});
    watcher.watches[3] = {s.client.id, seq};
    s.durable.expire({s.client.id, seq});
    CHECK(s.client.detached.contains(seq));
    s.fetched_by(watcher, seq);
    CHECK(s.client.detached.empty());
  }

  TEST_CASE("a result that is a blob is fetched before it counts, and another one serves if it is lost") {
    Stage s;
    Task& task = s.accept();
    const wire::BlobRef first{s.worker, blob_id(1), 100};
    const wire::BlobRef spare{s.worker, blob_id(2), 100};
    s.lifecycle.await_journal(task);
    CHECK_FALSE(s.durable.fetch_result(task, s.entry(1), wire::Payload(first)));
    CHECK(s.entry(1).phase == Phase::finishing);
    CHECK(s.entry(1).holds == std::vector<BlobId>{blob_id(1)});
    s.entry(1).spares.push_back(wire::Payload(spare));
    CHECK(s.durable.drop_result(s.client, s.entry(1)) == wire::Payload(spare));
    CHECK(s.entry(1).phase == Phase::open);
    CHECK(s.entry(1).holds.empty());
    CHECK(s.take() == Actions{DropBlob{blob_id(1)}});
    s.durable.fetch_result(task, s.entry(1), wire::Payload(spare));
    CHECK_FALSE(s.durable.drop_result(s.client, s.entry(1)));  // this was the last spare copy
    s.lifecycle.queue(task);
  }

  TEST_CASE(
      "the shortest journal has what is accepted, charged and answered, and nothing that is on its way") {
    Stage s;
    const wire::DeliveryRecord charge{1, wire::DeliveryKind::charged, wire::Outcome::failed, 1,
                                      0, wire::Payload("why")};
    s.accept();
    s.durable.take_charge(s.client, s.entry(1), charge);
    const std::uint64_t finished = s.finish();
    s.save();
    CHECK(s.durable.journal_rows() ==
          std::vector<std::string>{row_of(
              {SessionRecord{s.client.id, s.client.name, s.client.host},
               SpecRecord{s.client.id, 1, detached_spec(), s.client.specs.at(1)->minor},
               TaskRecord{s.client.id, 1, 1, 5000, wire::Payload("arg")}, ChargeRecord{s.client.id, charge},
               TaskRecord{s.client.id, finished, 1, 5000, wire::Payload()},
               FinalRecord{s.client.id, 5000, Stage::answer_of(finished)}})});
  }

  TEST_CASE("after a restart an answer whose bytes are missing says so") {
    Stage s;
    const std::uint64_t seq = s.finish();
    wire::DeliveryRecord answer = Stage::answer_of(seq);
    answer.payload = wire::Payload(wire::BlobRef{wire::kJournalHolder, blob_id(4), 10});
    s.durable.set_answer(s.client, s.entry(seq), answer);
    SUBCASE("they are there") {
      s.tables.blob_vault.found(blob_id(4));
      s.durable.hold_again(s.client);
      CHECK(s.entry(seq).answer == answer);
      CHECK(s.entry(seq).holds == std::vector<BlobId>{blob_id(4)});
    }
    SUBCASE("they are missing") {
      s.durable.hold_again(s.client);
      CHECK(s.entry(seq).answer.outcome == wire::Outcome::not_fetched);
      CHECK(s.entry(seq).holds.empty());
    }
  }
}

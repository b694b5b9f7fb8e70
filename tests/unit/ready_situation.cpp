// SPDX-License-Identifier: MIT
#include "tests/unit/ready_situation.hpp"

namespace weft::broker {

namespace {

using wire::ClaimRecord;
using wire::ClaimState;
using wire::Outcome;

Settings journaled() {
  Settings settings = test_settings();
  settings.journal = true;
  return settings;
}

// ---- the claim ----

void queued(Situation& s) { s.claim.state = ClaimState::queued; }
void running(Situation& s) { s.claim.state = ClaimState::running; }
void done(Situation& s) { s.claim.state = ClaimState::done; }
void not_counted(Situation& s) { s.claim.execution = s.execution; }
void counted(Situation& s) { s.claim.execution = s.execution - 1; }

const Column kClaim{{"queued", queued}, {"running", running}, {"done", done}};

// ---- A: tasks that are not claimed ----

void assigned_here(Situation& s) {
  s.claims = false;
  s.submit();
  s.given_to(s.worker);
}
void started_here(Situation& s) {
  assigned_here(s);
  s.h.started(s.worker, s.client, 1);
}
void of_an_earlier_broker(Situation& s) {
  s.claims = false;
  s.announce();
  s.adopted_by(s.worker, {1, {kOldEpoch, 12}, ClaimState::running, s.execution});
}
void stopped_here(Situation& s) {
  assigned_here(s);
  s.h.cancel(s.client, 1);
  s.otherwise = Otherwise::closed;
}
void window_is_open(Situation& s) { s.until(1s); }
void window_is_over(Situation& s) { s.until(2s); }
void started_at_most_once(Situation& s) {
  s.spec.crash_limit = 1;
  s.execution = 1;
}
void started_again(Situation& s) { s.spec.crash_limit = 3; }

// ---- B: the task's last attempt ----

void no_attempt(Situation& s) { s.announce(); }
void same_answered(Situation& s) {
  s.announce();
  s.until(2s);
  s.claim.attempt = s.given_to(s.worker);
  s.h.say(s.worker, wire::Draining{});  // or the task would be assigned to it again at once
  s.h.result(s.worker, s.client, 1, Outcome::not_fetched);
}
void same_not_answered(Situation& s) {
  s.announce();
  s.until(2s);
  s.claim.attempt = s.given_to(s.worker);
  s.lost(s.worker);
}
/// The attempt of the higher number has failed, and the task is delayed.
void higher_number(Situation& s) {
  s.spec.retries = 1;
  s.spec.retry_delay_ms = 5000;
  same_not_answered(s);
  s.given_to(s.other);
  s.h.result(s.other, s.client, 1, Outcome::failed);
  s.lost(s.other);
  s.execution = 3;
}
void adopted_and_lost(Situation& s, const wire::Attempt& attempt) {
  s.announce();
  s.adopted_by(s.other, {1, attempt, ClaimState::queued, s.execution});
  s.lost(s.other);
}
void lower_number(Situation& s) { adopted_and_lost(s, {kOldEpoch, 3}); }
void of_another_earlier_broker(Situation& s) { adopted_and_lost(s, {kOldEpoch + 1, 20}); }
void of_this_broker(Situation& s) {
  s.announce();
  s.until(2s);
  s.given_to(s.other);
  s.lost(s.other);
}

// ---- C: the current attempt, and its holder ----

void with_this_worker(Situation& s) { s.holder = &s.worker; }
void with_another_worker(Situation& s) { s.holder = &s.other; }
void with_no_worker(Situation& s) { s.holder = nullptr; }

/// The task's client has cancelled it.
void being_stopped(Situation& s) {
  s.h.cancel(s.client, 1);
  s.being_stopped = true;
  s.otherwise = Otherwise::closed;
}
void claimed_one(Situation& s) {
  REQUIRE(s.holder == &s.worker);
  s.submit();
  s.claim.attempt = s.given_to(s.worker);
  s.claim.execution = 1;
  s.current = s.claim;
}
void claimed_one_being_stopped(Situation& s) {
  claimed_one(s);
  being_stopped(s);
}
void assigned_by_this_broker(Situation& s) {
  REQUIRE(s.holder != nullptr);
  s.submit();
  s.claim.attempt = s.given_to(s.worker);
  s.claim.execution = 1;
  s.lost(s.worker);
  s.current = {1, s.given_to(*s.holder), ClaimState::queued, 1};
  s.otherwise = Otherwise::elsewhere;
}
void another_being_stopped(Situation& s) {
  assigned_by_this_broker(s);
  being_stopped(s);
}
void adopted(Situation& s, std::uint64_t number, ClaimState state) {
  REQUIRE(s.holder != nullptr);
  s.announce();
  s.current = {1, {kOldEpoch, number}, state, s.execution};
  s.adopted_by(*s.holder, s.current);
  s.otherwise = Otherwise::elsewhere;
}
void earlier_adopted(Situation& s) {
  adopted(s, 3, ClaimState::running);
  s.must_run = true;
}
void earlier_adopted_done(Situation& s) { adopted(s, 3, ClaimState::done); }
void earlier_adopted_being_stopped(Situation& s) {
  earlier_adopted(s);
  being_stopped(s);
}
void earlier_adopted_done_being_stopped(Situation& s) {
  earlier_adopted_done(s);
  being_stopped(s);
}
void later_adopted(Situation& s) { adopted(s, 20, ClaimState::running); }
void later_adopted_being_stopped(Situation& s) {
  later_adopted(s);
  being_stopped(s);
}
void task_is_being_written(Situation& s) {
  REQUIRE(s.holder == nullptr);
  s.spec.detach = true;
  s.announce();
  s.otherwise = Otherwise::closed;
}
void answer_is_being_written(Situation& s) {
  REQUIRE(s.holder == nullptr);
  s.spec.detach = true;
  s.submit();
  s.h.commit();
  const wire::Attempt attempt = s.given_to(s.other);
  const wire::ResultRecord large{1, attempt.number, 1000, Outcome::ok,
                                 wire::Payload(wire::BlobRef{s.other.incarnation, blob_id(7), 1 << 20})};
  s.h.say(s.other, wire::Results{s.client.session, attempt.epoch, true, 1, {large}});
  s.otherwise = Otherwise::closed;
}

// ---- D: the session, and the event that a held claim waits for ----

/// And this broker has the answer of the task.
void is_synced(Situation& s) {
  s.submit();
  s.given_to(s.other);
  s.h.result(s.other, s.client, 1);
  s.otherwise = Otherwise::closed;
}
void is_unknown(Situation&) {}
void is_not_synced(Situation& s) { s.client_comes(); }

void nothing_more(Situation&) {}
/// `closed`: the task is not open after the event.
void held_until(Situation& s, bool closed, std::function<void()> event) {
  CHECK_MESSAGE(s.otherwise != Otherwise::closed, "a claim is not held when its session is SYNCED");
  if (closed) s.otherwise = Otherwise::closed;
  s.then = std::move(event);
}
void then_announced(Situation& s) {
  held_until(s, false, [&s] { s.announce(); });
}
void then_synced(Situation& s) {
  held_until(s, true, [&s] {
    s.client_comes();
    s.h.synced(s.client);
  });
}
/// The task is not open until it is in the journal.
void then_announced_as_detached(Situation& s) {
  held_until(s, true, [&s] {
    s.client_comes();
    s.spec.detach = true;
    s.spec_number = 2;
    s.h.define(s.client, 2, s.spec);
    s.announce();
  });
}
void then_nobody_comes(Situation& s) {
  held_until(s, true, [&s] {
    s.h.advance(63'999ms);
    CHECK(s.h.take() == Actions{});
    s.h.advance(1ms);
  });
}
void then_client_leaves(Situation& s) {
  held_until(s, true, [&s] { s.h.say(s.client, wire::Goodbye{}); });
}
void then_returned(Situation& s) {
  held_until(s, false, [&s] {
    s.h.say(s.worker, wire::Returned{s.client.session, {{1, s.claim.attempt}}});
    s.claims = false;
    s.announce();
  });
}
void then_not_claimed_again(Situation& s) {
  held_until(s, false, [&s] {
    s.joins(s.worker);
    s.claims = false;
    s.announce();
  });
}
void later_claim_was_held(Situation& s) {
  s.current = {1, {kOldEpoch, 20}, ClaimState::running, s.execution};
  s.adopted_by(s.other, s.current);
  held_until(s, false, [&s] { s.announce(); });
  s.otherwise = Otherwise::elsewhere;
}

// ---- the columns ----

const std::vector<NamedColumn> kTableA{
    {"`crash_limit`", {{"1", started_at_most_once}, {"above 1", started_again}}},
    {"the attempt",
     {{"of this broker, not started", assigned_here},
      {"of this broker, started", started_here},
      {"of an earlier broker", of_an_earlier_broker},
      {"being stopped", stopped_here}}},
    {"adoption window", {{"open", window_is_open}, {"over", window_is_over}}}};
const std::vector<NamedColumn> kTableB{
    {"the task's last attempt at this broker",
     {{"none", no_attempt},
      {"the same, its RESULTS has come", same_answered},
      {"the same, its RESULTS has not come", same_not_answered},
      {"same epoch, higher number", higher_number},
      {"same epoch, lower number", lower_number},
      {"other epoch, this broker's", of_this_broker},
      {"other epoch, an earlier broker's", of_another_earlier_broker}}},
    {"its execution", {{"counted", counted}, {"not counted", not_counted}}},
    {"claim", kClaim}};
const std::vector<NamedColumn> kTableC{
    {"it is with",
     {{"this worker", with_this_worker},
      {"another worker", with_another_worker},
      {"no worker", with_no_worker}}},
    {"the current attempt",
     {{"the claimed one", claimed_one},
      {"the claimed one, being stopped", claimed_one_being_stopped},
      {"another, assigned by this broker", assigned_by_this_broker},
      {"another, assigned by this broker, being stopped", another_being_stopped},
      {"an earlier one (table E), adopted, not done", earlier_adopted},
      {"an earlier one (table E), adopted, done", earlier_adopted_done},
      {"an earlier one (table E), adopted, being stopped", earlier_adopted_being_stopped},
      {"an earlier one (table E), adopted, done, being stopped", earlier_adopted_done_being_stopped},
      {"a later one (table E), adopted", later_adopted},
      {"a later one (table E), adopted, being stopped", later_adopted_being_stopped},
      {"none: the task is being written to the journal", task_is_being_written},
      {"none: its answer is being written to the journal", answer_is_being_written}}},
    {"claim", kClaim}};
const std::vector<NamedColumn> kTableD{
    {"session", {{"SYNCED", is_synced}, {"unknown", is_unknown}, {"not SYNCED", is_not_synced}}},
    {"claim", kClaim},
    {"then",
     {{"–", nothing_more},
      {"the task is announced: table B", then_announced},
      {"SYNCED without the task", then_synced},
      {"the task is announced as detached, then SYNCED", then_announced_as_detached},
      {"no HELLO for the adoption window and a minute", then_nobody_comes},
      {"its client leaves", then_client_leaves},
      {"RETURNED, then the task is announced", then_returned},
      {"another READY without the claim, then the task is announced", then_not_claimed_again},
      {"the task is announced, and a later claim of it (table E) was held", later_claim_was_held}}}};

}  // namespace

const std::vector<NamedColumn>& ready_columns(char table) {
  static const std::map<char, const std::vector<NamedColumn>&> columns{
      {'A', kTableA}, {'B', kTableB}, {'C', kTableC}, {'D', kTableD}};
  return columns.at(table);
}

// ---- steps ----

Situation::Situation() : h(journaled()) {}

void Situation::client_comes() {
  if (client.peer != kNoPeer) return;
  h.hello(client, 7, kOldEpoch);
  h.define(client, 1, spec);
}

void Situation::announce() {
  client_comes();
  h.say(client,
        wire::Reannounce{{{1, spec_number, 0, execution - 1, 0, wire::Payload(std::string_view("arg"))}}});
  h.synced(client);
}

void Situation::submit() {
  client_comes();
  h.synced(client);
  h.submit(client, 1);
  execution = 1;
}

void Situation::joins(TestWorker& by) {
  h.hello(by);
  h.ready(by);
}

wire::Attempt Situation::given_to(TestWorker& to) {
  joins(to);
  return h.attempt(to, client, 1);
}

void Situation::lost(TestWorker& by) {
  h.disconnect(by);
  h.advance(100ms);
}

void Situation::adopted_by(TestWorker& by, const wire::ClaimRecord& claimed) {
  h.hello(by);
  h.claims(by, client, {claimed});
  h.ready(by);
}

void Situation::until(Duration since_start) {
  const Time at = Time(1000s) + since_start;
  if (h.now() < at) h.advance(at - h.now());
}

void Situation::say_ready() {
  CHECK_MESSAGE(!(must_run && claim.state == wire::ClaimState::done), "by row E1 it is not the later one");
  assigned_before = h.status().assigned;
  h.hello(worker);
  std::vector<wire::ClaimRecord> records;
  if (holder == &worker && current.attempt != claim.attempt && current.attempt.number != 0)
    records.push_back(current);
  if (claims) records.push_back(claim);
  if (!records.empty()) h.claims(worker, client, std::move(records));
  h.skip();
  h.ready(worker);
  after = h.take();
}

Actions Situation::say_result(TestWorker& by, const wire::Attempt& attempt, Outcome outcome) {
  h.result(by, client, 1, outcome, "result", 1000, attempt);
  return h.take();
}

std::vector<Outcome> delivered(const Actions& actions) {
  std::vector<Outcome> outcomes;
  for (const Action& action : actions) {
    const auto* send = std::get_if<Send>(&action);
    const auto* deliver = send != nullptr ? std::get_if<wire::Deliver>(&send->message) : nullptr;
    if (deliver == nullptr) continue;
    for (const auto& record : deliver->records) outcomes.push_back(record.outcome);
  }
  return outcomes;
}

}  // namespace weft::broker

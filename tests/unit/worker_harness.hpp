// SPDX-License-Identifier: MIT
// Drives a worker::WorkerCore by hand: verbs for events of the broker and the runners, virtual time, and the
// actions of every step, all of which a test must claim.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <ostream>

#include "common/wire/codec.hpp"
#include "common/wire/layout.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::worker {

inline std::ostream& operator<<(std::ostream& out, const Action& action) { return out << describe(action); }
inline std::ostream& operator<<(std::ostream& out, const Actions& actions) {
  for (const Action& action : actions) out << "\n    " << describe(action);
  return out << "\n  ";
}

template <std::size_t N>
OpaqueId<N> id_of(std::uint8_t number) {
  OpaqueId<N> id;
  id.bytes.fill(number);
  return id;
}

inline const Uuid kWorker = id_of<16>(0xaa);
inline const Uuid kAda = id_of<16>(0x01);  // two clients
inline const Uuid kBob = id_of<16>(0x02);
inline constexpr std::uint64_t kEpoch = 7;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline WorkerCore::Settings settings_of(std::uint32_t slots) {
  WorkerCore::Settings settings;
  settings.hello = {kWorker, "w1", "host1", 42, slots, "x86_64", "glibc 2.36", {}, {}};
  settings.broker = "127.0.0.1:8786";
  return settings;
}

/// A spec of a task library, which needs no files.
inline wire::TaskSpec library_spec() {
  wire::TaskSpec spec;
  spec.kind = wire::TaskKind::library;
  spec.function = "f";
  return spec;
}

/// A spec of a shipped program "program`number`" of 1,000 bytes, with one function "f".
inline wire::TaskSpec program_spec(std::uint8_t number) {
  wire::TaskSpec spec;
  spec.kind = wire::TaskKind::program;
  spec.program = {"program" + std::to_string(number), id_of<32>(number), 1000};
  spec.function = "f";
  spec.signature = "long(long)";
  return spec;
}

inline const std::vector<runner::FunctionEntry> kFunctions{{"f", "long(long)"}};

class Harness {
 public:
  explicit Harness(std::uint32_t slots = 1) : Harness(settings_of(slots)) {}
  explicit Harness(const WorkerCore::Settings& settings) : session(settings) {}
  ~Harness() { CHECK(take() == Actions{}); }

  WorkerCore session;
  Time now{seconds(100)};
  bool broker_beats = true;  // a heartbeat comes whenever time passes
  Notice noticed;            // the last one

  void event(const Event& e) {
    session.step(now, e, actions_);
    session.check_invariants();
  }
  void receive(const wire::Message& message) { event(Received{message}); }

  /// Lets time pass, with a Tick at every deadline.
  void advance(Duration duration) {
    const Time end = now + duration;
    for (auto due = session.deadline(); due && *due <= end; due = session.deadline()) {
      now = std::max(now, *due);
      if (broker_beats && session.joined()) receive(wire::Heartbeat{});
      event(Tick{});
    }
    now = end;
  }

  /// The actions since the last call without logs and heartbeats. RESULTS are split into one message for each
  /// record.
  Actions take() {
    Actions kept;
    for (Action& action : unpacked()) {
      if (const auto* told = std::get_if<Notify>(&action)) {
        noticed = *told->notice;
        continue;
      }
      const auto* sent = std::get_if<Send>(&action);
      if (sent && std::holds_alternative<wire::Heartbeat>(*sent->message)) continue;
      kept.push_back(std::move(action));
    }
    return kept;
  }
  Actions unpacked() {
    Actions out;
    for (Action& action : std::exchange(actions_, {})) {
      const auto* sent = std::get_if<Send>(&action);
      const auto* results = sent != nullptr ? std::get_if<wire::Results>(&*sent->message) : nullptr;
      if (results == nullptr) {
        out.push_back(std::move(action));
        continue;
      }
      for (std::size_t i = 0; i < results->records.size(); ++i) {
        out.push_back(Send{wire::Results{results->session,
                                         results->epoch,
                                         results->fresh && i == 0,
                                         results->first + i,
                                         {results->records[i]}}});
      }
    }
    return out;
  }
  /// To set the stage: takes actions of these kinds, at least one of each, and no others except logs and
  /// heartbeats. A kind is an action, or a message that is sent.
  template <class... Kinds>
  void expect() {
    const Actions actions = take();
    const auto check = [&](bool is_there) { CHECK_MESSAGE(is_there, "a kind is missing: " << actions); };
    (check(std::any_of(actions.begin(), actions.end(), is<Kinds>)), ...);
    only<Kinds...>(actions);
  }
  /// As above, but some of the kinds may be missing.
  template <class... Kinds>
  void expect_only() {
    only<Kinds...>(take());
  }

  // ---- the broker ----

  void welcome(std::uint64_t epoch = kEpoch, bool resumed = false) {
    receive(wire::Welcome{epoch, 1000, 3, resumed, 0});
  }
  /// Connects, from any stage, and takes the actions of a join without claims.
  void join(std::uint64_t epoch = kEpoch, bool resumed = false) {
    connect();
    welcome(epoch, resumed);
  }
  void connect() {
    while (take() != Actions{OpenLink{}}) advance(milliseconds(10));
    event(LinkUp{});
    CHECK(take() == Actions{Send{session_hello()}});
  }
  void define(const wire::TaskSpec& spec, std::uint32_t number = 1, const Uuid& client = kAda) {
    receive(wire::DefineFor{client, number, spec});
  }
  /// One ASSIGN of tasks `first` .. `last`, whose attempts have the numbers 100 + seq.
  void assign(std::uint64_t first, std::uint64_t last, std::uint32_t spec = 1, const Uuid& client = kAda) {
    wire::Assign message{client, {}};
    for (std::uint64_t seq = first; seq <= last; ++seq) message.tasks.push_back(record(seq, spec));
    receive(message);
  }
  static wire::AssignRecord record(std::uint64_t seq, std::uint32_t spec = 1) {
    return {seq, 100 + seq, spec, 1, false, wire::Payload("argument")};
  }
  void revoke(std::uint64_t seq, wire::RevokeMode mode = wire::RevokeMode::cancel) {
    receive(wire::Revoke{kAda, mode, {attempt(seq)}});
  }
  static wire::AttemptRecord attempt(std::uint64_t seq, std::uint64_t epoch = kEpoch) {
    return {seq, {epoch, 100 + seq}};
  }

  // ---- runners ----

  void ready(RunnerId runner) { event(RunnerReady{runner, kFunctions}); }
  void started(RunnerId runner, std::uint64_t ordinal) { event(TaskStarted{runner, ordinal, now}); }
  void finished(RunnerId runner, std::uint64_t ordinal, std::uint64_t run_us = 50'000) {
    event(TaskFinished{runner, ordinal, wire::Outcome::ok, run_us, wire::Payload("result"), 5000});
  }
  void died(RunnerId runner, std::uint64_t last_started, int signal = SIGSEGV) {
    event(RunnerDied{runner, last_started, signal, 0, "last words", "", 5000});
  }

  // ---- expected actions ----

  static Action run(RunnerId runner, std::uint64_t ordinal, std::uint64_t seq,
                    const wire::TaskSpec& spec = library_spec(), const Uuid& client = kAda,
                    const Indices& indices = {}) {
    return RunTask{
        runner,
        ordinal,
        {client, seq},
        LocalSharedPtr<const wire::TaskSpec>::make(spec),
        1,
        wire::Payload("argument"),
        0,
        indices.empty() ? LocalSharedPtr<const Indices>() : LocalSharedPtr<const Indices>::make(indices)};
  }
  static Action start(RunnerId runner, std::uint32_t slot = 0, const wire::TaskSpec& spec = library_spec()) {
    if (spec.kind != wire::TaskKind::program)
      return StartRunner{runner, slot, {wire::TaskKind::library, {}, {}}};
    return StartRunner{runner, slot, {spec.kind, spec.program, spec.libraries}};
  }
  /// The RESULT of a success, with number `outbox`; `fresh`: it is the oldest one in the outbox.
  static Action result(std::uint64_t outbox, std::uint64_t seq, bool fresh = false,
                       std::uint64_t run_us = 50'000, std::uint64_t epoch = kEpoch) {
    return Send{wire::Results{
        kAda, epoch, fresh, outbox, {{seq, 100 + seq, run_us, wire::Outcome::ok, wire::Payload("result")}}}};
  }
  static Action returned(std::uint64_t seq) { return Send{wire::Returned{kAda, {attempt(seq)}}}; }

  /// Takes exactly one action, a RESULT of `seq` with an error, and returns the error.
  wire::ErrorInfo take_error(std::uint64_t seq, wire::Outcome outcome) {
    const Actions actions = take();
    REQUIRE_MESSAGE(actions.size() == 1, actions);
    return error_in(actions[0], seq, outcome);
  }
  static wire::ErrorInfo error_in(const Action& action, std::uint64_t seq, wire::Outcome outcome) {
    const auto* sent = std::get_if<Send>(&action);
    REQUIRE_MESSAGE(sent != nullptr, action);
    const auto* results = std::get_if<wire::Results>(&*sent->message);
    REQUIRE_MESSAGE(results != nullptr, action);
    CHECK(results->records.at(0).seq == seq);
    CHECK(results->records.at(0).outcome == outcome);
    const auto info = wire::decode_error(results->records.at(0).payload.inline_bytes());
    REQUIRE(info);
    return *info;
  }
  static wire::HelloWorker session_hello(std::uint32_t slots = 0) {
    if (slots != 0) hello_of(settings_of(slots));
    return the_hello();
  }
  /// Sets the expected HELLO_WORKER.
  static void hello_of(const WorkerCore::Settings& settings) { the_hello() = settings.hello; }

 private:
  template <class Kind>
  static bool is(const Action& action) {
    if constexpr (wire::HasLayout<Kind>) {
      const auto* sent = std::get_if<Send>(&action);
      return sent != nullptr && std::holds_alternative<Kind>(*sent->message);
    } else {
      return std::holds_alternative<Kind>(action);
    }
  }
  template <class... Kinds>
  static void only(const Actions& actions) {
    for (const Action& action : actions)
      CHECK_MESSAGE((is<Kinds>(action) || ...), "not expected: " << action);
  }
  static wire::HelloWorker& the_hello() {
    static wire::HelloWorker hello;
    return hello;
  }

  Actions actions_;
};

/// A harness that has joined, knows library_spec() as spec 1 of kAda, and has no runner yet.
class Joined : public Harness {
 public:
  explicit Joined(std::uint32_t slots = 1) : Joined(settings_of(slots)) {}
  explicit Joined(const WorkerCore::Settings& settings) : Harness(settings) {
    hello_of(settings);
    join();
    CHECK(take() == Actions{Send{wire::Ready{}}});
    define(library_spec());
  }
  /// Starts one runner, which runs task `seq`.
  void running(std::uint64_t seq) {
    assign(seq, seq);
    ready(1);
    CHECK(take() == Actions{start(1), run(1, 1, seq)});
    started(1, 1);
  }
};

}  // namespace weft::worker

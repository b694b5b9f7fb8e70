// SPDX-License-Identifier: MIT
// Harness: a Scheduler on virtual time, with clients and workers that consist only of their messages. Each
// verb feeds an event and checks the invariants; take() returns every action since the last take(), so that
// tests compare whole lists. A test fails at its end if it has not taken all actions. Heartbeats and log
// lines are separate, since they would be in every list.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "broker/scheduler/scheduler.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

using namespace std::chrono_literals;

std::ostream& operator<<(std::ostream& out, const Actions& actions);

inline constexpr std::uint64_t kEpoch = 77;

/// An id that is the same in every run.
Uuid uuid(std::uint8_t number);
BlobId blob_id(std::uint8_t number);
Settings test_settings();

/// A library task that any worker may run.
wire::TaskSpec any_spec();
wire::TaskSpec program_spec(std::uint8_t blob);

/// The delivery of a task that has ended without a result.
wire::Payload error_payload(const std::string& message);

struct TestClient {
  Uuid session;
  std::string name;
  PeerId peer = kNoPeer;
  std::uint64_t next_seq = 1;
};

struct TestWorker {
  Uuid incarnation;
  std::string name;
  std::uint32_t slots = 1;
  PeerId peer = kNoPeer;
  std::map<Uuid, std::uint64_t> outbox;  // numbers used
  std::set<Uuid> begun;                  // sessions whose fresh batch was sent on this connection
};

struct Joining {
  std::uint32_t slots = 1;
  std::map<std::string, double> resources = {};
  std::vector<std::string> functions = {};
  std::string host = "host";
  std::uint8_t minor = wire::kMinor;  // version of the protocol that it speaks
  std::uint64_t memory = 0;           // bytes; 0: not reported
};

/// The contents of a journal and its directory of blobs.
struct TestDisk {
  std::vector<std::string> rows;
  std::set<BlobId> blobs;
};

class Harness {
 public:
  explicit Harness(Settings settings = test_settings());
  /// A broker that starts with this journal.
  Harness(Settings settings, TestDisk disk);
  ~Harness();
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;

  // ---- peers; a join leaves no actions to take ----
  TestClient join_client(const std::string& name);
  TestWorker join_worker(const std::string& name, Joining joining = {});
  /// To set the stage: takes the earlier actions, and the assignments to this worker.
  TestWorker join_worker_later(const std::string& name, Joining joining = {});
  /// Says only HELLO, on a new connection; the WELCOME is to be taken.
  void hello(TestClient& client, std::uint64_t delivered = 0, std::uint64_t epoch = kEpoch);
  void hello(TestWorker& worker, Joining joining = {});
  void ready(const TestWorker& worker) { say(worker, wire::Ready{}); }
  void synced(const TestClient& client) { say(client, wire::Synced{}); }
  /// The connection of the peer breaks.
  void disconnect(const TestClient& client) { gone(client.peer); }
  void disconnect(const TestWorker& worker) { gone(worker.peer); }
  /// The peer stays connected and sends nothing from now on.
  void fall_silent(PeerId peer) { chatty_.erase(peer); }

  // ---- messages from peers ----
  void say(PeerId peer, wire::Message message) {
    if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) beats_[peer] = *beat;
    step(Received{peer, std::move(message)});
  }
  void say(const TestClient& client, wire::Message message) { say(client.peer, std::move(message)); }
  void say(const TestWorker& worker, wire::Message message) { say(worker.peer, std::move(message)); }
  void define(const TestClient& client, std::uint32_t spec, const wire::TaskSpec& content);
  /// Submits `count` tasks with the next numbers; returns the first number.
  std::uint64_t submit(TestClient& client, std::uint32_t spec, std::size_t count = 1,
                       const std::string& payload = "arg");
  void cancel(const TestClient& client, std::uint64_t seq) { say(client, wire::Cancel{{seq}}); }
  void ack(const TestClient& client, std::uint64_t delivered) { say(client, wire::Ack{delivered}); }
  void started(const TestWorker& worker, const TestClient& client, std::uint64_t seq);
  void returned(const TestWorker& worker, const TestClient& client, std::uint64_t seq);
  /// Reports the outcome of `attempt`, by default the last one of this task that was assigned to this worker.
  void result(TestWorker& worker, const TestClient& client, std::uint64_t seq,
              wire::Outcome outcome = wire::Outcome::ok, const std::string& payload = "result",
              std::uint64_t run_us = 1000, std::optional<wire::Attempt> attempt = {});
  void claims(const TestWorker& worker, const TestClient& client, std::vector<wire::ClaimRecord> tasks) {
    say(worker, wire::Claims{client.session, std::move(tasks)});
  }

  // ---- time ----
  /// Ticks at every deadline on the way; every peer that has not fallen silent sends heartbeats.
  void advance(Duration duration);
  /// The broker's process is frozen: one step, at the end.
  void freeze(Duration duration);
  void step(const Event& event);
  Time now() const { return now_; }
  /// Calls `see` with every action and its time, including log lines, heartbeats and orders to the disk.
  void watch(std::function<void(Time, const Action&)> see) { see_ = std::move(see); }

  // ---- the disk, which performs orders only on command ----
  /// Performs all orders and those that follow from them, or fails all of them.
  void commit(const std::string& fault = "");
  const TestDisk& disk() const { return disk_; }
  /// Orders that the disk has not yet performed.
  std::size_t ordered() const { return orders_.size(); }

  // ---- actions ----
  Actions take() { return std::exchange(actions_, {}); }
  /// To set the stage: takes actions of these kinds, at least one of each, and no others. A kind is a
  /// message that is sent, ForgetPeer or ServeChunk.
  template <class... Kinds>
  void expect() {
    const auto check = [&](bool is_there) { CHECK_MESSAGE(is_there, "a kind is missing: " << actions_); };
    (check(std::any_of(actions_.begin(), actions_.end(), is<Kinds>)), ...);
    expect_only<Kinds...>();
  }
  /// As above, but some of the kinds may be missing.
  template <class... Kinds>
  void expect_only() {
    for (const Action& action : take())
      CHECK_MESSAGE((is<Kinds>(action) || ...), "not expected: " << Actions{action});
  }
  /// Discards the actions, for drivers that see each of them by watch(), or check their effects.
  void skip() { actions_.clear(); }
  /// Number of notices of this kind whose detail contains `detail`.
  std::size_t noticed(NoticeKind kind, std::string_view detail = "") const;
  std::size_t heartbeats(PeerId peer) const;
  /// The attempt of the last assignment of this task to the worker.
  wire::Attempt attempt(const TestWorker& worker, const TestClient& client, std::uint64_t seq) const;
  /// The tasks of the client that were assigned to the worker, in order.
  std::vector<std::uint64_t> assigned(const TestWorker& worker, const TestClient& client) const;
  wire::Status status() const { return scheduler_.status(true); }
  Scheduler& scheduler() { return scheduler_; }
  void check_invariants_each_step(bool on) { check_each_step_ = on; }

  // ---- expectations ----
  static Send to(const TestClient& client, wire::Message message) {
    return {client.peer, std::move(message)};
  }
  static Send to(const TestWorker& worker, wire::Message message) {
    return {worker.peer, std::move(message)};
  }
  static Send received(const TestClient& client, std::uint64_t seq) {
    return to(client, wire::Received{seq});
  }
  Send define_for(const TestWorker& worker, const TestClient& client, std::uint32_t spec) const;
  /// An ASSIGN of one task, with attempt number `number`.
  static Send assign(const TestWorker& worker, const TestClient& client, std::uint64_t seq,
                     std::uint64_t number, std::uint32_t spec = 1, std::uint32_t execution = 1,
                     bool alone = false);
  static Send deliver(const TestClient& client, std::uint64_t first,
                      std::vector<wire::DeliveryRecord> records) {
    return to(client, wire::Deliver{first, std::move(records)});
  }
  static Send deliver_ok(const TestClient& client, std::uint64_t number, std::uint64_t seq,
                         const std::string& payload = "result");
  static Send release(const TestWorker& worker, const TestClient& client, std::uint64_t outbox) {
    return to(worker, wire::Release{client.session, outbox});
  }
  static Send revoke(const TestWorker& worker, const TestClient& client, std::uint64_t seq,
                     std::uint64_t number, wire::RevokeMode mode = wire::RevokeMode::cancel,
                     std::uint64_t epoch = kEpoch);
  Send welcome(const TestClient& client, bool resumed, std::uint64_t received = 0) const;
  Send welcome(const TestWorker& worker, bool resumed) const;

 private:
  template <class Kind>
  static bool is(const Action& action) {
    if constexpr (std::is_same_v<Kind, ForgetPeer> || std::is_same_v<Kind, ServeChunk>) {
      return std::holds_alternative<Kind>(action);
    } else {
      const auto* send = std::get_if<Send>(&action);
      return send != nullptr && std::holds_alternative<Kind>(send->message);
    }
  }
  void gone(PeerId peer);
  PeerId connect();

  Settings settings_;
  Time now_{1000s};
  Scheduler scheduler_;
  Actions actions_;
  std::function<void(Time, const Action&)> see_;
  TestDisk disk_;
  std::deque<Action> orders_;
  std::vector<Notice> notices_;
  std::map<PeerId, std::size_t> heartbeats_;
  std::map<PeerId, std::vector<std::pair<TaskId, wire::Attempt>>> assignments_;
  std::map<std::pair<Uuid, std::uint32_t>, wire::TaskSpec> specs_;
  std::set<PeerId> chatty_;
  std::map<PeerId, wire::Heartbeat> beats_;  // last one of each peer
  PeerId next_peer_ = 1;
  std::uint8_t next_id_ = 1;
  bool check_each_step_ = true;
};

}  // namespace weft::broker

template <>
struct doctest::StringMaker<weft::broker::Actions> {
  static String convert(const weft::broker::Actions& actions);
};

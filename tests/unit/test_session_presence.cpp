// SPDX-License-Identifier: MIT
// SessionPresence alone: how long an absent client is waited for, and what happens to its tasks.
#include "broker/scheduler/session_presence.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;
using Loss = SessionPresence::Loss;

namespace {

wire::HelloClient hello_of(std::uint8_t number, std::uint64_t delivered = 0) {
  return {.session = uuid(number), .name = "c", .host = "h", .epoch = kEpoch, .delivered = delivered};
}

struct Stage : Parts {
  SessionPresence sessions{settings, tables, lifecycle};
  Session& client = join_client(9);
  Worker& worker = join_worker(1);

  ~Stage() { check_invariants(); }
  /// The client's connection is gone, as the dispatch has noted.
  void lose(Loss loss) {
    roster.peers().erase(client.peer);
    sessions.lose(client, "it broke", loss);
  }
  void join(PeerId peer, const wire::HelloClient& hello) {
    if (const Session* known = roster.find_session(hello.session)) roster.peers().erase(known->peer);
    sessions.join({.peer = peer}, hello);
  }
  Send welcome(PeerId peer, bool resumed, std::uint64_t received) const {
    return {peer, wire::Welcome{settings.epoch,
                                static_cast<std::uint32_t>(settings.heartbeat_interval.count() / 1000),
                                settings.heartbeat_liveness, resumed, received}};
  }
  /// What was sent and forgotten, without notices.
  Actions sent() {
    std::erase_if(actions, [](const Action& action) { return std::holds_alternative<Notify>(action); });
    return take();
  }
  Duration left() const { return client.grace_ends - step.now(); }
};

}  // namespace

TEST_SUITE("session presence") {
  TEST_CASE("a new client is welcomed to a new session") {
    Stage s;
    s.join(50, hello_of(3));
    CHECK(s.sent() == Actions{s.welcome(50, false, 0)});
    const Session& session = *s.roster.find_session(uuid(3));
    CHECK(session.state == SessionState::connected);
    CHECK(session.peer == 50);
    CHECK_FALSE(session.synced);
  }

  TEST_CASE("a client that comes back has what it had, and gets again what it has not acknowledged") {
    Stage s;
    s.client.handshake_confirmed = true;
    s.client.received = 4;
    s.tables.delivery.deliver(s.client, {1, {}, {}, 0, 0, wire::Payload("one")});
    s.tables.delivery.deliver(s.client, {2, {}, {}, 0, 0, wire::Payload("two")});
    s.client.deliveries.take(1000);
    s.lose(Loss::closed);
    s.sent();
    s.join(50, hello_of(9, 1));
    CHECK(s.sent() == Actions{s.welcome(50, true, 4)});
    CHECK(s.client.deliveries.take(1000) == wire::Deliver{2, {{2, {}, {}, 0, 0, wire::Payload("two")}}});
    CHECK(s.sessions.is_stale(s.client, hello_of(9, 3)));
    CHECK_FALSE(s.sessions.is_stale(s.client, hello_of(9, 2)));
  }

  TEST_CASE("a client that does not know that it has a session begins with delivery 1") {
    Stage s;
    s.tables.delivery.deliver(s.client, {1, {}, {}, 0, 0, wire::Payload("one")});
    s.join(50, hello_of(9));
    CHECK(s.client.deliveries.empty());
    CHECK_FALSE(s.sessions.is_stale(s.client, hello_of(9, 3)));
  }

  TEST_CASE("results that were refused for want of this session are asked for again") {
    Stage s;
    s.worker.sessions.of(uuid(3));
    s.join(50, hello_of(3));
    s.sent();
    s.sessions.ask_again(*s.roster.find_session(uuid(3)));
    CHECK(s.sent() == Actions{Send{s.worker.peer, wire::Resend{uuid(3)}}});
    s.sessions.ask_again(*s.roster.find_session(uuid(3)));
    CHECK(s.sent() == Actions{});
  }

  TEST_CASE(
      "a closed connection is waited for shortly, one that cannot be reached as long as the client waits") {
    Stage s;
    SUBCASE("closed") {
      s.lose(Loss::closed);
      CHECK(s.left() == s.settings.client_grace);
    }
    SUBCASE("unreachable") {
      s.lose(Loss::unreachable);
      CHECK(s.left() == s.settings.patience(s.client.give_up));
    }
    CHECK(s.client.state == SessionState::lost);
    CHECK(s.client.peer == kNoPeer);
    s.advance(s.left() - Duration(1));
    CHECK_FALSE(s.sessions.is_overdue(s.client));
    s.advance(Duration(1));
    CHECK(s.sessions.is_overdue(s.client));
  }

  TEST_CASE(
      "a silent client whose connection closes then has the time to connect again, and no more than it had") {
    Stage s;
    const Duration silence = s.settings.heartbeat_interval * s.settings.heartbeat_liveness;
    s.sessions.fall_silent(s.client, "nothing was heard");
    CHECK(s.left() == s.settings.patience(s.client.give_up));
    CHECK(s.client.away());
    SUBCASE("early") {
      s.lose(Loss::closed);
      CHECK(s.left() == s.settings.client_grace + silence);
    }
    SUBCASE("late") {
      s.advance(s.left() - Duration(7));
      s.lose(Loss::closed);
      CHECK(s.left() == Duration(7));
    }
    SUBCASE("after it was heard again") {
      s.sessions.hear_again(s.client);
      CHECK_FALSE(s.client.away());
      s.lose(Loss::closed);
      CHECK(s.left() == s.settings.client_grace + silence);
    }
  }

  TEST_CASE(
      "after this process stood still those that are away have time again, and others are not touched") {
    Stage s;
    s.lose(Loss::closed);
    s.advance(std::chrono::hours(1));
    s.sessions.renew_grace();
    CHECK(s.left() == s.settings.client_grace);
    Session& other = s.join_client(8);
    s.sessions.renew_grace();
    CHECK(other.grace_ends == Time{});
  }

  TEST_CASE(
      "a client that leaves has its tasks cancelled, and its session is over when its workers have stopped") {
    Stage s;
    s.queue_task(s.client);
    Task& running = s.assign_task(s.client, s.worker);
    s.worker.sessions.of(s.client.id);
    s.sessions.end(s.client, "bye");
    CHECK(s.client.state == SessionState::ending);
    CHECK(SessionPresence::is_stopping(s.client));
    CHECK(s.sent() == Actions{Send{s.worker.peer, wire::Revoke{s.client.id,
                                                               wire::RevokeMode::cancel,
                                                               {{running.seq, running.attempt}}}}});
    CHECK(s.client.deliveries.empty());
    REQUIRE(s.sessions.departed().size() == 1);
    CHECK(s.sessions.departed()[0].first == s.step.now());
    CHECK_FALSE(s.sessions.is_over(s.client));
    s.lifecycle.erase(running);
    CHECK(s.sessions.is_over(s.client));
    s.tables.delivery.take_dirty();
    s.roster.peers().erase(s.client.peer);
    s.sessions.remove(s.client);
    CHECK(s.sent() == Actions{Send{s.worker.peer, wire::EndSession{uuid(9)}}});
    CHECK(s.roster.find_session(uuid(9)) == nullptr);
  }

  TEST_CASE("a client that leaves with nothing open is no news for people, and the list of those is short") {
    Stage s;
    s.sessions.end(s.client, "");
    CHECK(s.sessions.departed().empty());
    for (std::uint8_t i = 20; i < 40; ++i) {
      Session& session = s.join_client(i);
      s.queue_task(session);
      s.sessions.end(session, "");
    }
    CHECK(s.sessions.departed().size() == 10);
  }

  TEST_CASE("what a client has detached goes on without it") {
    Stage s;
    wire::TaskSpec detached = any_spec();
    detached.detach = true;
    s.tables.specs.define(s.client, 2, detached, "");
    Task& plain = s.assign_task(s.client, s.worker);
    Task& task = s.queue_task(s.client, 2);
    Detached& entry = s.client.detached[task.seq];
    entry.phase = Detached::Phase::open;
    entry.recorded = entry.journaled = true;
    entry.spec = task.spec;
    ++task.spec->open_tasks;
    s.sessions.end(s.client, "bye");
    CHECK(s.client.state == SessionState::detached);
    CHECK(task.state == TaskState::queued);
    CHECK(s.client.turn.waits);
    CHECK(SessionPresence::is_stopping(s.client));  // the other task is with a worker
    s.lifecycle.erase(plain);
    CHECK_FALSE(SessionPresence::is_stopping(s.client));
    CHECK_FALSE(s.sessions.is_over(s.client));
  }

  TEST_CASE(
      "a session that the journal has may come back until the adoption window and its patience are over") {
    Stage s;
    s.tables.adoption.open_window();
    s.sessions.restore({uuid(4), "n", "h"});
    const Session& session = *s.roster.find_session(uuid(4));
    CHECK(session.state == SessionState::lost);
    CHECK(session.recorded);
    CHECK(session.grace_ends == s.tables.adoption.window_ends() + s.settings.patience(session.give_up));
  }

  TEST_CASE("a session that workers have something of and whose client did not come is ended there") {
    Stage s;
    s.worker.sessions.of(uuid(4));
    s.tables.adoption.add_zombie(s.worker, {uuid(4), 1}, {1, 1});
    s.sessions.give_up(uuid(4));
    CHECK(s.sent() == Actions{Send{s.worker.peer, wire::EndSession{uuid(4)}}});
    CHECK(s.worker.zombies.empty());
  }
}

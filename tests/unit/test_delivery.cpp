// SPDX-License-Identifier: MIT
// Delivery alone: numbered answers until they are acknowledged, the escrow of results with workers, and the
// flow control of submits. Deliveries and PendingReleases, of which each session has one, have separate
// tests.
#include "broker/scheduler/delivery.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

struct Stage : Parts {
  using Parts::Parts;
  Delivery& delivery = tables.delivery;
  Session& client = join_client(9);
  Worker& worker = join_worker(1);

  void deliver(std::uint64_t seq, const std::string& payload = "result") {
    delivery.deliver(client, record(seq, payload));
  }
  static wire::DeliveryRecord record(std::uint64_t seq, const std::string& payload = "result") {
    return {seq, wire::DeliveryKind::final, wire::Outcome::ok, 0, 0, wire::Payload(payload)};
  }
  /// The work at the end of a step, for the sessions that are marked.
  Actions pump() {
    for (Session* session : delivery.take_dirty()) delivery.pump(*session);
    return take();
  }
  Send sent(std::uint64_t first, std::vector<wire::DeliveryRecord> records) const {
    return {client.peer, wire::Deliver{first, std::move(records)}};
  }
  Send released(std::uint64_t outbox) const { return {worker.peer, wire::Release{client.id, outbox}}; }
};

}  // namespace

TEST_SUITE("delivery") {
  TEST_CASE("answers are numbered and sent at the end of the step, together") {
    Stage s;
    s.deliver(7);
    s.deliver(8);
    CHECK(s.client.dirty);
    CHECK(s.take() == Actions{});
    CHECK(s.pump() == Actions{s.sent(1, {Stage::record(7), Stage::record(8)})});
    CHECK_FALSE(s.client.dirty);
    s.deliver(9);
    CHECK(s.pump() == Actions{s.sent(3, {Stage::record(9)})});
    CHECK(s.pump() == Actions{});
  }

  TEST_CASE("not more is under way than the window allows, until the client acknowledges") {
    Settings settings = test_settings();
    settings.delivery_bytes_max = 1;
    Stage s(settings);
    s.deliver(7);
    s.deliver(8);
    CHECK(s.pump() == Actions{s.sent(1, {Stage::record(7)})});
    s.delivery.acknowledge(s.client, 1);
    s.delivery.mark_dirty(s.client);
    CHECK(s.pump() == Actions{s.sent(2, {Stage::record(8)})});
  }

  TEST_CASE("a session without a client gets nothing") {
    Stage s;
    for (const SessionState state : {SessionState::ending, SessionState::detached}) {
      s.client.state = state;
      s.deliver(7);
      CHECK(s.client.deliveries.empty());
    }
    s.client.state = SessionState::lost;  // the client may come back
    s.deliver(7);
    CHECK(s.client.deliveries.last() == 1);
  }

  TEST_CASE("a worker keeps a result until the client has acknowledged its delivery") {
    Stage s;
    s.deliver(7);
    s.delivery.release_after_deliveries(s.client, s.worker, 1, 0);
    s.deliver(8);
    s.delivery.release_after_deliveries(s.client, s.worker, 2, 0);
    CHECK(s.take() == Actions{});
    s.delivery.acknowledge(s.client, 1);
    CHECK(s.take() == Actions{s.released(1)});
    s.delivery.acknowledge(s.client, 2);
    CHECK(s.take() == Actions{s.released(2)});
  }

  TEST_CASE("a result that makes no delivery is released at once when none is before it") {
    Stage s;
    s.delivery.release_after_deliveries(s.client, s.worker, 1, 0);
    CHECK(s.take() == Actions{s.released(1)});
    s.deliver(7);
    s.delivery.release_after_deliveries(s.client, s.worker, 2, 0);
    CHECK(s.take() == Actions{});
  }

  TEST_CASE("one release stands for all before it, and a worker that has left hears nothing") {
    Stage s;
    Worker& gone = s.join_worker(2);
    s.deliver(7);
    s.delivery.release_after_deliveries(s.client, s.worker, 1, 0);
    s.delivery.release_after_deliveries(s.client, gone, 5, 0);
    s.deliver(8);
    s.delivery.release_after_deliveries(s.client, s.worker, 2, 0);
    s.roster.peers().erase(gone.peer);
    gone.peer = kNoPeer;
    s.delivery.acknowledge(s.client, 2);
    CHECK(s.take() == Actions{s.released(2)});
  }

  TEST_CASE("the result of a detached task is kept until the journal has its answer") {
    Stage s;
    Detached& entry = s.client.detached[7];
    entry.spec = s.client.specs.at(1).get();
    entry.phase = Detached::Phase::finishing;
    s.delivery.release_after_deliveries(s.client, s.worker, 1, 7);
    s.delivery.flush_releases(s.client);
    CHECK(s.take() == Actions{});
    entry.phase = Detached::Phase::finished;
    s.delivery.flush_releases(s.client);
    CHECK(s.take() == Actions{s.released(1)});
  }

  TEST_CASE("the next client of a session begins with delivery 1, and results that waited are released") {
    Stage s;
    s.deliver(7);
    s.delivery.release_after_deliveries(s.client, s.worker, 1, 0);
    s.delivery.tell_journaled(s.client, 3);
    CHECK(s.pump() == Actions{Send{s.client.peer, wire::Journaled{{3}}}, s.sent(1, {Stage::record(7)})});
    s.delivery.restart(s.client);
    s.delivery.flush_releases(s.client);
    CHECK(s.take() == Actions{s.released(1)});
    s.deliver(8);
    CHECK(s.pump() == Actions{s.sent(1, {Stage::record(8)})});
  }

  TEST_CASE("a client may send so much without a RECEIVED") {
    Settings settings = test_settings();
    settings.submit_bytes_max = 100;
    Stage s(settings);
    CHECK(s.delivery.within_window(s.client, 60));
    CHECK(s.delivery.within_window(s.client, 40));
    CHECK_FALSE(s.delivery.within_window(s.client, 1));
    s.client.received = 5;
    s.delivery.schedule_received(s.client);
    CHECK(s.take() == Actions{Send{s.client.peer, wire::Received{5}}});
    CHECK(s.delivery.within_window(s.client, 100));
  }

  TEST_CASE("RECEIVED waits for a DELIVER while little has come") {
    Settings settings = test_settings();
    settings.received_bytes = 100;
    Stage s(settings);
    s.client.received = 1;
    s.delivery.within_window(s.client, 99);
    s.delivery.schedule_received(s.client);
    CHECK(s.take() == Actions{});
    s.deliver(1);
    CHECK(s.pump() == Actions{Send{s.client.peer, wire::Received{1}}, s.sent(1, {Stage::record(1)})});
    s.delivery.send_received(s.client);  // no RECEIVED is owed
    CHECK(s.take() == Actions{});
  }

  TEST_CASE("beyond the memory budget the clients that hold more than their share wait") {
    Settings settings = test_settings();
    settings.memory_budget = 4000;
    Stage s(settings);
    Session& small = s.join_client(8);
    s.roster.change_bytes(s.client, 0, 5000);
    s.delivery.schedule_received(s.client);
    CHECK(s.take() == Actions{});
    s.delivery.schedule_received(small);
    CHECK(s.take() == Actions{Send{small.peer, wire::Received{0}}});
    s.roster.change_bytes(s.client, 5000, 0);
    s.delivery.send_received(s.client);
    CHECK(s.take() == Actions{Send{s.client.peer, wire::Received{0}}});
  }
}

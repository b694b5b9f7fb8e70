// SPDX-License-Identifier: MIT
// The parts of ClientCore alone: acknowledgements, the loss of a broker, detached and attached tasks.
#include <doctest/doctest.h>

#include "client/core/broker_loss.hpp"
#include "client/core/delivery_acks.hpp"
#include "client/core/durable_tasks.hpp"

namespace weft::client {

namespace {

using namespace std::chrono_literals;

constexpr Time kStart{10s};

}  // namespace

TEST_SUITE("client parts") {
  TEST_CASE("an ACK follows the interval, a number of deliveries or of bytes") {
    DeliveryAcks acks({.interval = 20ms, .deliveries = 3, .bytes = 1000});
    CHECK_FALSE(acks.is_due(kStart));
    CHECK_FALSE(acks.deadline());
    acks.on_deliver();
    CHECK(acks.take(1, 10));
    CHECK(acks.is_due(kStart));  // the first one at once
    acks.on_sent(kStart);
    CHECK_FALSE(acks.has_unacknowledged());
    acks.on_deliver();
    CHECK(acks.take(2, 10));
    CHECK(acks.has_unacknowledged());
    CHECK_FALSE(acks.is_due(kStart + 19ms));
    CHECK(acks.deadline() == kStart + 20ms);
    SUBCASE("time") { CHECK(acks.is_due(kStart + 20ms)); }
    SUBCASE("deliveries") {
      CHECK(acks.take(3, 10));
      CHECK_FALSE(acks.is_due(kStart));
      CHECK(acks.take(4, 10));
      CHECK(acks.is_due(kStart));
    }
    SUBCASE("bytes") {
      CHECK(acks.take(3, 990));
      CHECK(acks.is_due(kStart));
    }
  }

  TEST_CASE("a repeated delivery is not taken again, and is acknowledged again") {
    DeliveryAcks acks({});
    CHECK(acks.take(1, 10));
    acks.on_sent(kStart);
    acks.on_deliver();
    CHECK_FALSE(acks.take(1, 10));
    CHECK(acks.taken() == 1);
    CHECK(acks.is_due(kStart + 20ms));
  }

  TEST_CASE("a HELLO acknowledges, and a new epoch begins with delivery 1") {
    DeliveryAcks acks({});
    CHECK(acks.take(1, 10));
    acks.on_resumed();
    CHECK_FALSE(acks.has_unacknowledged());
    acks.restart();
    CHECK(acks.taken() == 0);
    CHECK(acks.take(1, 10));
  }

  TEST_CASE("connections that break before they make progress are one loss") {
    BrokerLoss loss(kStart);
    CHECK(loss.reason_or_no_answer() == "no answer");
    CHECK_FALSE(loss.on_lost(kStart + 1s, "refused", false));  // there was no broker yet
    CHECK(loss.reason() == "refused");
    CHECK(loss.since() == kStart);
    CHECK_FALSE(loss.on_joined(kStart + 2s));
    CHECK(loss.reason().empty());
    loss.on_progress();
    CHECK(loss.on_lost(kStart + 10s, "gone", true));
    CHECK(loss.on_joined(kStart + 11s));
    CHECK_FALSE(loss.on_lost(kStart + 12s, "gone", true));
    CHECK_FALSE(loss.on_joined(kStart + 13s));
    CHECK(loss.since() == kStart + 10s);
    loss.on_progress();
    CHECK(loss.on_lost(kStart + 14s, "gone", true));
    CHECK(loss.since() == kStart + 14s);
  }

  TEST_CASE("the answer of a detached task is fetched once, and told to each broker") {
    DurableTasks durable;
    durable.add_detached(1, {{}, 1});
    durable.add_attached(2, {{}, 77});
    CHECK_FALSE(durable.all_journaled());
    CHECK(durable.on_journaled(1));
    CHECK_FALSE(durable.on_journaled(1));
    CHECK_FALSE(durable.on_journaled(2));
    CHECK(durable.all_journaled());
    CHECK(durable.fetch(2) == wire::TaskRef{{}, 77});
    CHECK(durable.fetch(2) == std::nullopt);
    CHECK(durable.fetch(3) == std::nullopt);
    REQUIRE(durable.fetched().size() == 1);
    CHECK(durable.fetched()[0].seq == 2);
  }
}

}  // namespace weft::client

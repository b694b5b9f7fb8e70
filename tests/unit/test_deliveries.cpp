// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <string>

#include "broker/scheduler/deliveries.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

wire::DeliveryRecord record(std::uint64_t seq, std::size_t bytes = 0) {
  wire::DeliveryRecord out;
  out.seq = seq;
  out.payload = wire::Payload(std::string_view(std::string(bytes, 'x')));
  return out;
}

std::vector<std::uint64_t> seqs(const wire::Deliver& batch) {
  std::vector<std::uint64_t> out;
  for (const wire::DeliveryRecord& entry : batch.records) out.push_back(entry.seq);
  return out;
}

using Seqs = std::vector<std::uint64_t>;
constexpr std::size_t kWindow = 1000;
const auto always = [](std::uint64_t) { return true; };

}  // namespace

TEST_SUITE("deliveries") {
  TEST_CASE("are sent once, in order and numbered from 1") {
    Deliveries deliveries;
    CHECK(deliveries.take(kWindow).records.empty());
    deliveries.add(record(7));
    deliveries.add(record(5));
    const wire::Deliver batch = deliveries.take(kWindow);
    CHECK(batch.first == 1);
    CHECK(seqs(batch) == Seqs{7, 5});
    CHECK(deliveries.last() == 2);
    CHECK(deliveries.take(kWindow).records.empty());
    deliveries.add(record(6));
    CHECK(deliveries.take(kWindow).first == 3);
    deliveries.check_invariants();
  }

  TEST_CASE("wait for room in the window, which acknowledgements make") {
    Deliveries deliveries;
    for (std::uint64_t seq = 1; seq <= 3; ++seq) deliveries.add(record(seq, 600));
    CHECK(seqs(deliveries.take(kWindow)) == Seqs{1});
    CHECK(deliveries.take(kWindow).records.empty());
    deliveries.acknowledge(1);
    CHECK(seqs(deliveries.take(kWindow)) == Seqs{2});
    deliveries.check_invariants();
  }

  TEST_CASE("one that is larger than the window travels alone") {
    Deliveries deliveries;
    deliveries.add(record(1, 5 * kWindow));
    deliveries.add(record(2));
    CHECK(seqs(deliveries.take(kWindow)) == Seqs{1});
    deliveries.acknowledge(1);
    CHECK(seqs(deliveries.take(kWindow)) == Seqs{2});
  }

  TEST_CASE("are kept until they are acknowledged, and sent again on a new connection") {
    Deliveries deliveries;
    for (std::uint64_t seq = 1; seq <= 3; ++seq) deliveries.add(record(seq));
    deliveries.take(kWindow);
    deliveries.acknowledge(1);
    deliveries.send_again();
    const wire::Deliver again = deliveries.take(kWindow);
    CHECK(again.first == 2);
    CHECK(seqs(again) == Seqs{2, 3});
    deliveries.acknowledge(3);
    CHECK(deliveries.empty());
    CHECK(deliveries.bytes() == 0);
    deliveries.check_invariants();
  }

  TEST_CASE("what is acknowledged twice, early or too high does no harm") {
    Deliveries deliveries;
    deliveries.add(record(1));
    deliveries.add(record(2));
    deliveries.acknowledge(1);  // an ACK of an earlier connection
    deliveries.acknowledge(1);
    CHECK(deliveries.acknowledged() == 1);
    deliveries.check_invariants();
    deliveries.acknowledge(99);
    CHECK(deliveries.acknowledged() == 2);
    CHECK(deliveries.last() == 2);
    deliveries.check_invariants();
  }

  TEST_CASE("a restart begins with number 1") {
    Deliveries deliveries;
    deliveries.add(record(1, 10));
    deliveries.take(kWindow);
    deliveries.acknowledge(1);
    deliveries.add(record(2, 10));
    deliveries.restart();
    CHECK(deliveries.empty());
    CHECK(deliveries.bytes() == 0);
    deliveries.add(record(3));
    CHECK(deliveries.take(kWindow).first == 1);
    deliveries.check_invariants();
  }
}

TEST_SUITE("pending releases") {
  TEST_CASE("are due in order, when the client has what was delivered before") {
    PendingReleases releases;
    releases.add({.after = 2, .peer = 1, .outbox = 10});
    releases.add({.after = 3, .peer = 2, .outbox = 20});
    CHECK(releases.due(1, always) == nullptr);
    REQUIRE(releases.due(2, always) != nullptr);
    CHECK(releases.due(2, always)->outbox == 10);
    releases.pop();
    CHECK(releases.due(2, always) == nullptr);
    REQUIRE(releases.due(3, always) != nullptr);
    releases.pop();
    CHECK(releases.empty());
  }

  TEST_CASE("of one worker at one place are one, the highest") {
    PendingReleases releases;
    releases.add({.after = 2, .peer = 1, .outbox = 10});
    releases.add({.after = 2, .peer = 1, .outbox = 8});
    CHECK(releases.due(2, always)->outbox == 10);
    releases.add({.after = 2, .peer = 1, .outbox = 12});
    CHECK(releases.due(2, always)->outbox == 12);
    releases.pop();
    CHECK(releases.empty());
  }

  TEST_CASE("that of a detached task waits for the journal, and those behind it with it") {
    PendingReleases releases;
    releases.add({.after = 1, .detached = 7, .peer = 1, .outbox = 10});
    releases.add({.after = 1, .peer = 1, .outbox = 11});
    bool saved = false;
    const auto is_saved = [&](std::uint64_t seq) {
      CHECK(seq == 7);
      return saved;
    };
    CHECK(releases.due(1, is_saved) == nullptr);
    saved = true;
    REQUIRE(releases.due(1, is_saved) != nullptr);
    CHECK(releases.due(1, is_saved)->outbox == 10);
    releases.pop();
    CHECK(releases.due(1, is_saved)->outbox == 11);
  }

  TEST_CASE("after a restart they wait for no delivery") {
    PendingReleases releases;
    releases.add({.after = 9, .peer = 1, .outbox = 10});
    releases.restart();
    CHECK(releases.due(0, always) != nullptr);
  }
}

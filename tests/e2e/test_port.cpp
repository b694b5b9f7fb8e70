// SPDX-License-Identifier: MIT
// Bad bytes on the port cost the sender its connection, and have no effect on other peers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <random>
#include <weft/weft.hpp>
#include <zmq.hpp>

#include "common/wire/codec.hpp"
#include "tests/e2e/harness.hpp"
#include "tests/e2e/raw_connection.hpp"
#include "tests/newer_peer.hpp"

using namespace weft::e2e;

namespace {

long inc(long x) { return x + 1; }

void check_that_it_serves(const Cluster& cluster) {
  weft::Client client(cluster.address());
  CHECK(client.submit<inc>(1L).result() == 2);
}

/// A DEALER that speaks the real protocol, or nearly.
struct RawPeer {
  explicit RawPeer(const Cluster& cluster) : dealer(context, zmq::socket_type::dealer) {
    dealer.set(zmq::sockopt::linger, 0);
    dealer.set(zmq::sockopt::rcvtimeo, 10'000);
    dealer.connect("tcp://" + cluster.address());
  }
  void send(const std::string& frame) { dealer.send(zmq::buffer(frame)); }
  weft::wire::Message receive() {
    zmq::message_t frame;
    REQUIRE(dealer.recv(frame).has_value());
    auto message = weft::wire::decode({static_cast<const char*>(frame.data()), frame.size()});
    REQUIRE(message);
    return *message;
  }
  zmq::context_t context;
  zmq::socket_t dealer;
};

}  // namespace

TEST_SUITE("port") {
  TEST_CASE("random bytes and an HTTP request end their own connection") {
    Cluster cluster;
    std::mt19937 random(7);
    for (int i = 0; i < 20; ++i) {
      std::string bytes(2000, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      RawConnection connection(cluster.address());
      connection.send(bytes);
    }
    RawConnection http(cluster.address());
    http.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(http.is_closed());
    check_that_it_serves(cluster);
  }

  TEST_CASE("a connection that never speaks is closed after the handshake time") {
    Cluster cluster;
    RawConnection silent(cluster.address());
    CHECK(silent.is_closed());
    check_that_it_serves(cluster);
  }

  TEST_CASE("the broker sends no ZMTP PING, which makes libzmq 4.3.4 abort behind a broken connection") {
    Cluster cluster;
    RawConnection connection(cluster.address());
    connection.shake_hands();
    CHECK(connection.receive_for(3s).find("PING") == std::string::npos);
    check_that_it_serves(cluster);
  }

  TEST_CASE("an oversized frame ends its connection") {
    Cluster cluster;
    RawConnection connection(cluster.address());
    connection.shake_hands();
    // A long frame that announces 1 TB.
    REQUIRE(connection.send(std::string("\2\0\0\1\0\0\0\0\0", 9)));
    CHECK(connection.is_closed());
    check_that_it_serves(cluster);
  }

  TEST_CASE("an endless multipart message does not stop the broker, and ends with its connection") {
    Cluster cluster;
    {
      RawConnection connection(cluster.address());
      connection.shake_hands();
      std::string parts;
      for (int i = 0; i < 10'000; ++i) parts += std::string("\1\1x", 3);
      for (int i = 0; i < 30; ++i) connection.send(parts);
      check_that_it_serves(cluster);
    }
    check_that_it_serves(cluster);
  }

  TEST_CASE("frames that are no messages, of many parts, or from nobody, are not answered or refused") {
    Cluster cluster;
    RawPeer peer(cluster);
    peer.send("");
    peer.send("garbage");
    peer.dealer.send(zmq::str_buffer("a"), zmq::send_flags::sndmore);
    peer.dealer.send(zmq::str_buffer("b"), zmq::send_flags::none);
    peer.send(weft::wire::encode(weft::wire::Ack{5}));
    const auto answer = peer.receive();
    REQUIRE(std::holds_alternative<weft::wire::Refuse>(answer));
    CHECK(std::get<weft::wire::Refuse>(answer).code == weft::wire::RefuseCode::unknown_peer);
    check_that_it_serves(cluster);
  }

  TEST_CASE("another major version is refused, and both are named") {
    Cluster cluster;
    RawPeer peer(cluster);
    std::string hello = weft::wire::encode(weft::wire::HelloClient{});
    hello[4] = 1;  // an old release: protocol version 1.0
    hello[5] = 0;
    peer.send(hello);
    const auto answer = peer.receive();
    REQUIRE(std::holds_alternative<weft::wire::Refuse>(answer));
    const auto& refuse = std::get<weft::wire::Refuse>(answer);
    CHECK(refuse.code == weft::wire::RefuseCode::version);
    CHECK_MESSAGE(refuse.text.find("1.0") != std::string::npos, refuse.text);
    CHECK_MESSAGE(
        refuse.text.find(fmt::format("{}.{}", weft::wire::kMajor, weft::wire::kMinor)) != std::string::npos,
        refuse.text);
    check_that_it_serves(cluster);
  }

  TEST_CASE("a client of a newer minor version is served, but for what only it knows") {
    using namespace weft::wire;
    Cluster cluster;
    RawPeer peer(cluster);
    HelloClient hello;
    hello.session.bytes[0] = 1;
    peer.send(encode_newer(hello));
    REQUIRE(std::holds_alternative<Welcome>(peer.receive()));
    TaskSpec command;
    command.kind = TaskKind::command;
    command.function = "true";
    command.directory = "/";
    TaskSpec newer = command;
    newer.kind = static_cast<TaskKind>(77);
    peer.send(encode_newer(Define{1, command}));
    peer.send(encode_newer(Define{2, newer}));
    // The arguments of a command: [argv, input].
    const Payload arguments(std::string_view("\x92\x91\xa4true\xa0", 8));
    peer.send(encode_newer(Submit{{{1, 1, arguments}, {2, 2, arguments}}}));
    peer.send(encode_newer(Synced{}));
    std::map<std::uint64_t, DeliveryRecord> answers;
    while (answers.size() < 2) {
      const auto message = peer.receive();
      const auto* deliver = std::get_if<Deliver>(&message);
      if (deliver == nullptr) continue;
      for (const DeliveryRecord& record : deliver->records) answers[record.seq] = record;
    }
    CHECK(answers[1].outcome == Outcome::ok);
    CHECK(answers[2].outcome == Outcome::refused);
    const auto reason = decode_error(answers[2].payload.inline_bytes())->message;
    CHECK_MESSAGE(reason.find(fmt::format("{}.{}", kMajor, kNewerMinor)) != std::string::npos, reason);
    CHECK_MESSAGE(reason.find(fmt::format("{}.{}", kMajor, kMinor)) != std::string::npos, reason);
    peer.send(encode_newer(Goodbye{"done"}));
    check_that_it_serves(cluster);
  }

  TEST_CASE("a client that sends malformed messages is refused and others are served") {
    Cluster cluster;
    RawPeer peer(cluster);
    weft::wire::HelloClient hello;
    hello.session.bytes[0] = 1;
    peer.send(weft::wire::encode(hello));
    REQUIRE(std::holds_alternative<weft::wire::Welcome>(peer.receive()));
    std::string submit = weft::wire::encode(weft::wire::Submit{{{1, 1, weft::wire::Payload("x")}}});
    submit.pop_back();
    peer.send(submit);
    const auto answer = peer.receive();
    REQUIRE(std::holds_alternative<weft::wire::Refuse>(answer));
    CHECK(std::get<weft::wire::Refuse>(answer).code == weft::wire::RefuseCode::malformed);
    check_that_it_serves(cluster);
  }
}

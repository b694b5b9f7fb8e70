// SPDX-License-Identifier: MIT
// Packer: coalesces many small messages to one peer into few frames, in order, and holds nothing back.
#include <doctest/doctest.h>

#include "common/wire/codec.hpp"
#include "tests/unit/wire_samples.hpp"

namespace weft::wire {

namespace {

Uuid session(std::uint8_t number) {
  Uuid id;
  id.bytes.fill(number);
  return id;
}

Submit submit(std::uint64_t seq, std::size_t bytes = 3) {
  return {{{seq, 1, Payload(std::string(bytes, 'x'))}}};
}
Assign assign(std::uint8_t to, std::uint64_t seq) {
  return {session(to), {{seq, seq, 1, 1, false, Payload()}}};
}
Deliver deliver(std::uint64_t first, std::size_t count = 1, std::size_t bytes = 0) {
  Deliver message{first, {}};
  for (std::size_t i = 0; i < count; ++i) {
    message.records.push_back(
        {first + i, DeliveryKind::final, Outcome::ok, 0, 0, Payload(std::string(bytes, 'x'))});
  }
  return message;
}

std::vector<std::string> frames_of(Packer& packer) {
  std::vector<std::string> frames;
  while (auto frame = packer.take()) frames.push_back(std::move(*frame));
  CHECK(packer.empty());
  return frames;
}

std::vector<std::string> pack(const std::vector<Message>& messages) {
  Packer packer;
  for (const Message& message : messages) packer.add(message);
  return frames_of(packer);
}

std::vector<Message> decoded(const std::vector<std::string>& frames) {
  std::vector<Message> messages;
  for (const std::string& frame : frames) {
    auto message = decode(frame);
    REQUIRE(message);
    messages.push_back(*message);
  }
  return messages;
}

}  // namespace

TEST_SUITE("packer") {
  TEST_CASE("nothing gives nothing") {
    Packer packer;
    CHECK(packer.empty());
    CHECK(packer.take() == std::nullopt);
    CHECK(packer.empty());
  }

  TEST_CASE("a single message leaves at once") {
    Packer packer;
    packer.add(submit(1));
    CHECK_FALSE(packer.empty());
    CHECK(packer.take() == encode(submit(1)));
    CHECK(packer.take() == std::nullopt);
    CHECK(packer.empty());
  }

  TEST_CASE("every message alone has the bytes that encode gives it") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      CHECK((pack({message}) == std::vector<std::string>{encode(message)}));
    }
  }

  TEST_CASE("consecutive messages of one kind share a frame") {
    const auto frames = pack({submit(1), submit(2), submit(3)});
    REQUIRE(frames.size() == 1);
    CHECK(std::get<Submit>(*decode(frames[0])).tasks.size() == 3);
  }

  TEST_CASE("the order of messages is kept, even where that costs a frame") {
    const auto messages =
        decoded(pack({submit(1), Heartbeat{}, submit(2), submit(3), Cancel{{1}}, Cancel{{2}}}));
    REQUIRE(messages.size() == 5);
    CHECK((messages[0] == Message(submit(1))));
    CHECK((messages[1] == Message(Heartbeat{})));
    CHECK(std::get<Submit>(messages[2]).tasks.size() == 2);
    CHECK((messages[3] == Message(Cancel{{1}})));
    CHECK((messages[4] == Message(Cancel{{2}})));
  }

  TEST_CASE("sessions do not share a frame, nor does anything else that the head says") {
    CHECK(pack({assign(1, 1), assign(1, 2), assign(2, 3), assign(1, 4)}).size() == 3);
    const Revoke cancel{session(1), RevokeMode::cancel, {{1, {}}}};
    const Revoke retract{session(1), RevokeMode::retract, {{1, {}}}};
    CHECK(pack({cancel, cancel, retract}).size() == 2);
  }

  TEST_CASE("numbered batches share a frame only when they follow each other") {
    const auto messages = decoded(pack({deliver(1, 2), deliver(3), deliver(5), deliver(6), deliver(6)}));
    REQUIRE(messages.size() == 3);
    CHECK((messages[0] == Message(deliver(1, 3))));
    CHECK((messages[1] == Message(deliver(5, 2))));
    CHECK((messages[2] == Message(deliver(6))));
  }

  TEST_CASE(
      "results of one session share a frame when they follow each other, and not across epochs or a fresh "
      "start") {
    const auto results = [](std::uint64_t epoch, bool fresh, std::uint64_t first) {
      return Results{session(1), epoch, fresh, first, {{first, first, 1, Outcome::ok, Payload()}}};
    };
    CHECK(pack({results(1, false, 1), results(1, false, 2)}).size() == 1);
    CHECK(pack({results(1, false, 1), results(2, false, 2)}).size() == 2);
    CHECK(pack({results(1, false, 1), results(1, true, 2)}).size() == 2);
  }

  TEST_CASE("a frame of many records has about 64 KiB, and a split batch goes on with its numbers") {
    std::vector<Message> input;
    for (std::uint64_t i = 0; i < 40; ++i) input.push_back(deliver(1 + 2 * i, 2, 6'000));
    const auto frames = pack(input);
    CHECK(frames.size() == 8);
    std::uint64_t next = 1;
    for (const std::string& frame : frames) {
      CHECK(frame.size() <= 64 << 10);
      const auto message = decode(frame);
      REQUIRE(message);
      const auto& batch = std::get<Deliver>(*message);
      CHECK(batch.first == next);
      for (const auto& record : batch.records) CHECK(record.seq == next++);
    }
    CHECK(next == 81);
  }

  TEST_CASE("one message with more records than a frame takes is split as well") {
    const auto frames = pack({deliver(1, 100, 60'000)});
    CHECK(frames.size() >= 6);
    std::uint64_t next = 1;
    for (const Message& message : decoded(frames)) {
      CHECK(std::get<Deliver>(message).first == next);
      next += std::get<Deliver>(message).records.size();
    }
    CHECK(next == 101);
  }

  TEST_CASE("the largest payload fits") {
    const auto frames = pack({submit(1, kInlineBytesMax), submit(2, kInlineBytesMax)});
    REQUIRE(frames.size() == 2);
    for (const std::string& frame : frames) CHECK(decode(frame));
  }

  TEST_CASE("an empty batch is a frame of its own") {
    const auto messages = decoded(pack({Submit{}}));
    REQUIRE(messages.size() == 1);
    CHECK((messages[0] == Message(Submit{})));
  }

  TEST_CASE("what is added between two takes is not lost") {
    Packer packer;
    packer.add(submit(1));
    packer.add(Heartbeat{});
    CHECK(packer.take() == encode(submit(1)));
    packer.add(submit(2));
    packer.add(submit(3));
    CHECK((decoded(frames_of(packer)) ==
           std::vector<Message>{Heartbeat{}, Submit{{submit(2).tasks[0], submit(3).tasks[0]}}}));
  }
}

}  // namespace weft::wire

// SPDX-License-Identifier: MIT
// Messages to bytes and back. test_golden.cpp has the exact bytes, test_codec_growth.cpp peers of other minor
// versions.
#include "common/wire/codec.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "tests/unit/wire_samples.hpp"

namespace weft::wire {

namespace {

template <class T>
constexpr T kMax = std::numeric_limits<T>::max();

TaskSpec extreme_spec() {
  TaskSpec spec = sample_spec();
  spec.kind = TaskKind::command;
  spec.program = {std::string(300, 'p'), {}, kMax<std::uint64_t>};
  spec.libraries.assign(20, {"", sample_blob(), 0});
  spec.function_index = kMax<std::uint32_t>;
  spec.function = std::string("nul \0 inside", 12);
  spec.signature = std::string(70'000, 's');
  spec.label = "Ünïcödé ☃";
  spec.priority = std::numeric_limits<std::int32_t>::min();
  spec.retries = spec.crash_limit = kMax<std::uint32_t>;
  spec.retry_delay_ms = spec.timeout_ms = spec.queue_timeout_ms = kMax<std::uint64_t>;
  spec.resources = {
      {"", 0.0}, {"huge", std::numeric_limits<double>::max()}, {"tiny", 5e-324}, {"less", -1.25}};
  spec.workers.assign(1000, "w");
  return spec;
}

std::vector<Message> extremes() {
  const Uuid zero;
  const std::uint64_t most = kMax<std::uint64_t>;
  std::vector<Message> messages = {
      HelloClient{zero, "", "", most, most, most},
      HelloWorker{},
      Welcome{most, kMax<std::uint32_t>, kMax<std::uint32_t>, false, most},
      Refuse{RefuseCode::not_allowed, ""},
      Define{kMax<std::uint32_t>, extreme_spec()},
      Submit{},
      Submit{{{most, kMax<std::uint32_t>, Payload(std::string(kInlineBytesMax, '\xff'))}}},
      Submit{{{0, 0, Payload(BlobRef{sample_uuid(), sample_blob(), most})}}},
      Submit{std::vector<SubmitRecord>(10'000)},
      Cancel{},
      Deliver{most, {}},
      Results{zero, 0, false, 0, {{most, most, most, Outcome::refused, Payload()}}},
      Claims{zero, {{most, {most, most}, ClaimState::queued, kMax<std::uint32_t>}}},
      Data{BlobId{}, most, Bytes(std::string(kChunkBytes, 'x'))},
      Data{},
      Status{},
  };
  for (const std::int32_t priority :
       {-1, -32, -33, -128, -129, -32768, -32769, 0, 127, 128, 255, 256, 65535, 65536}) {
    TaskSpec spec;
    spec.priority = priority;
    messages.push_back(Define{1, spec});
  }
  for (const std::uint64_t seq :
       {0UL, 127UL, 128UL, 255UL, 256UL, 65535UL, 65536UL, 4294967295UL, 4294967296UL}) {
    messages.push_back(Ack{seq});
  }
  for (const std::size_t size : {0u, 1u, 31u, 32u, 255u, 256u, 65535u, 65536u}) {
    messages.push_back(Goodbye{std::string(size, 'g')});
    messages.push_back(Submit{{{1, 1, Payload(std::string(size, 'p'))}}});
  }
  return messages;
}

}  // namespace

TEST_SUITE("codec") {
  TEST_CASE("every message on the wire comes back as it was") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const auto decoded = decode(encode(message));
      REQUIRE(decoded);
      CHECK((*decoded == message));
    }
  }

  TEST_CASE("extreme values come back as they were") {
    for (const Message& message : extremes()) {
      CAPTURE(describe(message).substr(0, 100));
      const auto decoded = decode(encode(message));
      REQUIRE(decoded);
      CHECK((*decoded == message));
    }
  }

  TEST_CASE("a value that an enumeration does not have is refused when the peer should have known better") {
    for (int i = 0; i <= 255; ++i) {
      CAPTURE(i);
      const auto value = static_cast<std::uint8_t>(i);
      CHECK(static_cast<bool>(decode(encode(Refuse{static_cast<RefuseCode>(value), ""}))) == (i <= 4));
      CHECK(static_cast<bool>(decode(encode(Revoke{{}, static_cast<RevokeMode>(value), {}}))) == (i <= 1));
      CHECK(static_cast<bool>(decode(encode(Claims{{}, {{1, {}, static_cast<ClaimState>(value)}}}))) ==
            (i <= 2));
      CHECK(static_cast<bool>(decode(
                encode(Results{{}, 1, true, 1, {{1, 1, 1, static_cast<Outcome>(value), {}}}}))) == (i <= 8));
      CHECK(static_cast<bool>(decode(encode(
                Deliver{1, {{1, static_cast<DeliveryKind>(value), Outcome::ok, 0, 0, {}}}}))) == (i <= 1));
      TaskSpec spec;
      spec.kind = static_cast<TaskKind>(value);
      CHECK(static_cast<bool>(decode(encode(Define{1, spec}))) == (i <= 3));
    }
  }

  TEST_CASE("a payload is inline or a blob, and says which") {
    const Payload text(std::string_view("abc"));
    CHECK_FALSE(text.is_blob());
    CHECK(text.inline_bytes() == "abc");
    CHECK(text.size() == 3);
    const BlobRef ref{sample_uuid(), sample_blob(), 1'000'000};
    const Payload far(ref);
    CHECK(far.is_blob());
    CHECK(far.blob() == ref);
    CHECK(far.size() < 100);  // its size in this message, not the size of the blob
    CHECK_FALSE(far == text);
    CHECK_FALSE(Payload(far.bytes()) == far);  // the same bytes inline are another payload
    CHECK(Payload().inline_bytes().empty());
  }

  TEST_CASE("an inline payload may have 64 KiB and not a byte more") {
    CHECK(decode(encode(Submit{{{1, 1, Payload(std::string(kInlineBytesMax, 'x'))}}})));
    const auto refused = decode(encode(Submit{{{1, 1, Payload(std::string(kInlineBytesMax + 1, 'x'))}}}));
    REQUIRE_FALSE(refused);
    CHECK(refused.fault().starts_with(
        "malformed Submit: expected at most a payload of 65536, found one of 65537"));
  }

  TEST_CASE("an error comes back as it was, and only whole") {
    const ErrorInfo info{"std::runtime_error", "what",        "w1",   "host", -11, 3, -5,
                         kMax<std::int64_t>,   "last\nlines", "/data"};
    const std::string text = encode_error(info);
    CHECK(*decode_error(text) == info);
    for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(decode_error(text.substr(0, size)));
    CHECK_FALSE(decode_error(text + '\0'));
  }

  TEST_CASE("a message in a log has its name and ids, and never its payload") {
    const std::string line = describe(Submit{{{17, 3, Payload(std::string_view("secret"))}}});
    CHECK(line == "Submit[(17 3 6 B)]");
    for (const Message& message : one_of_each()) CHECK(describe(message).find("arg") == std::string::npos);
    CHECK(describe(Submit{std::vector<SubmitRecord>(1000)}).size() < 200);
  }
}

}  // namespace weft::wire

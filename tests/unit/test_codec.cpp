// SPDX-License-Identifier: MIT
// The bytes of every message, so that the protocol cannot change by accident: a test that fails here
// means a new major version, or a mistake.
#include "common/codec.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <set>

#include "common/layout.hpp"
#include "tests/unit/wire_samples.hpp"

namespace weft::wire {

namespace {

std::string hex_of(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

const std::string kUuid = "c410a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
const std::string kBlob = "c420101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f";
const std::string kSpec =
    "dc00110093a470726f67" + kBlob + "ce000111709193a96c6962782e736f2e31" + kBlob +
    "cd012c07a3696e63aa6c6f6e67286c6f6e6729a56c6162656cfd02ccface000186a0cf000000012a05f2"
    "000482a3677075cb3ff0000000000000a66d656d6f7279cb3fe000000000000092a161a16291a163c3";

struct Golden {
  std::string name;
  std::string body;
};

/// In the order of the type numbers, the first of which is 1.
std::vector<Golden> golden() {
  return {
      {"HelloClient", "96" + kUuid + "a970726f6740686f7374a4686f7374cd10e1cffedcba987654321011"},
      {"HelloWorker",
       "99" + kUuid +
           "a27731a4686f73746308a67838365f3634aa676c69626320322e333681a3677075cb4000000000000000"
           "92a3616464a36d756c"},
      {"Welcome", "95cffedcba9876543210cd03e803c30c"},
      {"Refuse", "9201a574616b656e"},
      {"Heartbeat", "90"},
      {"Goodbye", "91a3627965"},
      {"Define", "9205" + kSpec},
      {"Forget", "9105"},
      {"Submit", "90930105c40361726793020593" + kUuid + kBlob + "ce000186a0"},
      {"Reannounce", "909601050201cd05dcc403617267"},
      {"Synced", "90"},
      {"Cancel", "91930102cd012c"},
      {"Ack", "91ce00010000"},
      {"Received", "91cdffff"},
      {"Deliver", "9103960100000102c40361726796020102000193" + kUuid + kBlob + "ce000186a0"},
      {"Running", "91920405"},
      {"DefineFor", "93" + kUuid + "05" + kSpec},
      {"ForgetFor", "92" + kUuid + "05"},
      {"Assign", "91" + kUuid + "9601ccc80503c3c403617267"},
      {"Revoke", "92" + kUuid + "01920192cf112233445566778809"},
      {"Release", "92" + kUuid + "06"},
      {"Resend", "91" + kUuid},
      {"EndSession", "91" + kUuid},
      {"Claims", "91" + kUuid + "940192cf1122334455667788090103940292cf1122334455667788090201"},
      {"Ready", "90"},
      {"Results", "94" + kUuid + "cf1122334455667788c3049501ccc8cd04d201c403617267"},
      {"Started", "91" + kUuid + "920192cf112233445566778809"},
      {"Returned", "91" + kUuid + "920192cf112233445566778809"},
      {"Draining", "90"},
      {"Get", "94" + kUuid + kBlob + "ce00080000ce00080000"},
      {"Data", "93" + kBlob + "ce00080000c4056279746573"},
      {"Gone", "92" + kBlob + "a4676f6e65"},
      {"Drop", "92" + kUuid + kBlob},
      {"StatusRequest", "91c3"},
      {"Status",
       "9ea5302e312e304dce0001e2400102030405060708919ca27731a4686f737463a46275737902010381a3"
       "677075cb400000000000000081a3677075cb3ff80000000000000a0ba673696c656e749197a470726f67a4686f7374a861"
       "30613161326133a9636f6e6e65637465640c0d0e9194a470726f67a56c6162656c0fb46e6f20776f726b"
       "657220686173206a6f696e6564"},
      {"Kept", "91920405"},
      {"Find", "91a56c6162656c"},
      {"Found", "92a56c6162656c0292" + kUuid + "0392" + kUuid + "04"},
      {"DrainWorker", "91a27731"},
      {"Why", "91aa61306131613261332d34"},
      {"Answer", "92c3a86974207761697473"},
      {"Leave", "90"},
      {"Fetched", "9092" + kUuid + "03"},
  };
}

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
  for (const std::size_t size : {0, 1, 31, 32, 255, 256, 65535, 65536}) {
    messages.push_back(Goodbye{std::string(size, 'g')});
    messages.push_back(Submit{{{1, 1, Payload(std::string(size, 'p'))}}});
  }
  return messages;
}

}  // namespace

TEST_SUITE("codec") {
  TEST_CASE("every message has the bytes that it had when the protocol was frozen") {
    const std::vector<Message> messages = one_of_each();
    const std::vector<Golden> expected = golden();
    REQUIRE(messages.size() == std::variant_size_v<AnyMessage>);
    REQUIRE(expected.size() == messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i) {
      CAPTURE(expected[i].name);
      CHECK(messages[i].index() == i);
      const std::string type = hex_of(std::string(1, static_cast<char>(i + 1)));
      CHECK(hex_of(encode(messages[i])) == "574546540100" + type + "00" + expected[i].body);
    }
  }

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

  TEST_CASE("each enumeration ends where the codec thinks it does") {
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
    CHECK(text.text() == "abc");
    CHECK(text.size() == 3);
    const BlobRef ref{sample_uuid(), sample_blob(), 1'000'000};
    const Payload far(ref);
    CHECK(far.is_blob());
    CHECK(far.blob() == ref);
    CHECK(far.size() < 100);  // what it costs here, not there
    CHECK_FALSE(far == text);
    CHECK_FALSE(Payload(far.bytes()) == far);  // the same bytes inline are another payload
    CHECK(Payload().text().empty());
  }

  TEST_CASE("an inline payload may have 64 KiB and not a byte more") {
    CHECK(decode(encode(Submit{{{1, 1, Payload(std::string(kInlineBytesMax, 'x'))}}})));
    const auto refused = decode(encode(Submit{{{1, 1, Payload(std::string(kInlineBytesMax + 1, 'x'))}}}));
    REQUIRE_FALSE(refused);
    CHECK(refused.fault() == "malformed Submit");
  }

  TEST_CASE("an error comes back as it was, and only whole") {
    const ErrorInfo info{"std::runtime_error", "what",       "w1", "host", -11, 3, -5,
                         kMax<std::int64_t>,   "last\nlines"};
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

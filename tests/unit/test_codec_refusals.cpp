// SPDX-License-Identifier: MIT
// Bytes that are not a message. Decoding trusts nothing: all of them are refused with an error message, and
// decoding costs no more than their own size.
#include <doctest/doctest.h>

#include "common/wire/codec.hpp"
#include "tests/unit/wire_samples.hpp"

namespace weft::wire {

namespace {

/// A frame of this version and `type` with `body`.
std::string frame(std::uint8_t type, std::string_view body) {
  std::string text = "WEFT";
  text += {static_cast<char>(kMajor), static_cast<char>(kMinor), static_cast<char>(type), '\0'};
  return text.append(body);
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text.push_back(static_cast<char>(value));
  return text;
}

std::string fault_of(std::string_view text) {
  const auto decoded = decode(text);
  return decoded ? "" : decoded.fault();
}

constexpr std::uint8_t kGoodbye = 6;
constexpr std::uint8_t kForget = 8;
constexpr std::uint8_t kSubmit = 9;
constexpr std::uint8_t kCancel = 12;
constexpr std::uint8_t kAck = 13;
constexpr std::uint8_t kHelloWorker = 2;

}  // namespace

TEST_SUITE("codec, refusals") {
  TEST_CASE("a message that is cut anywhere is refused, unless the cut is between two records") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const std::string whole = encode(message);
      std::size_t decoded = 0;
      for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto part = decode(std::string_view(whole).substr(0, size));
        if (!part) continue;
        ++decoded;
        CHECK(part->index() == message.index());
        CHECK_FALSE((*part == message));
      }
      CHECK(decoded <= 2);  // no sample has more than two records
    }
  }

  TEST_CASE("a byte too many is refused, whatever it is") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const std::string whole = encode(message);
      for (int extra = 0; extra < 256; ++extra) CHECK_FALSE(decode(whole + static_cast<char>(extra)));
    }
  }

  TEST_CASE("any byte changed gives another message or a refusal, and never harm") {
    for (const Message& message : one_of_each()) {
      const std::string whole = encode(message);
      for (std::size_t i = 0; i < whole.size(); ++i) {
        for (const int flip : {0x01, 0x80, 0xff, 0x5a}) {
          std::string changed = whole;
          changed[i] = static_cast<char>(changed[i] ^ flip);
          const auto decoded = decode(changed);
          if (!decoded) continue;
          const std::string again = encode(*decoded);
          const auto same = decode(again);
          REQUIRE(same);
          CHECK(encode(*same) == again);
        }
      }
    }
  }

  TEST_CASE("what does not begin as a Weft message is none") {
    CHECK(fault_of("") == "not a Weft message");
    CHECK(fault_of("WEFT") == "not a Weft message");
    CHECK(fault_of(bytes({'W', 'E', 'F', 'T', kMajor, kMinor, 5})) == "not a Weft message");
    CHECK(fault_of("GET / HTTP/1.1\r\n\r\n") == "not a Weft message");
    std::string lower = frame(5, bytes({0x90}));
    lower[0] = 'w';
    CHECK(fault_of(lower) == "not a Weft message");
  }

  TEST_CASE("another major version is refused with both versions named, before its body is looked at") {
    std::string other = frame(200, "\xc1 who knows");
    other[4] = 1;
    other[5] = 7;
    const std::string fault = fault_of(other);
    CHECK(fault.find("1.7") != std::string::npos);
    CHECK(fault.find(std::to_string(kMajor) + "." + std::to_string(kMinor)) != std::string::npos);
    CHECK(version_mismatch(other) == fault);
    CHECK(version_mismatch(frame(5, "")) == std::nullopt);
    CHECK(version_mismatch("HTTP/2.7") == std::nullopt);
    CHECK(version_mismatch("") == std::nullopt);
  }

  TEST_CASE("a newer minor version is understood") {
    std::string newer = encode(Heartbeat{});
    newer[5] = 9;
    CHECK(decode(newer));
  }

  TEST_CASE("what a newer minor version has added says that the peer lives, and no more") {
    std::string newer = frame(200, "whatever");
    newer[5] = 9;
    const auto message = decode(newer);
    REQUIRE(message);
    CHECK(std::holds_alternative<Heartbeat>(*message));
  }

  TEST_CASE("an unknown type is named") {
    CHECK(fault_of(frame(0, bytes({0x90}))) == "unknown message type 0");
    CHECK(fault_of(frame(44, bytes({0x90}))) == "unknown message type 44");
    CHECK(fault_of(frame(255, bytes({0x90}))) == "unknown message type 255");
  }

  TEST_CASE("an array with a field more or less than a peer of this version sends is refused") {
    CHECK(decode(frame(kForget, bytes({0x91, 5}))));
    CHECK(fault_of(frame(kForget, bytes({0x90}))) ==
          "malformed Forget: expected an array of 1, found one of 0");
    CHECK(fault_of(frame(kForget, bytes({0x92, 5, 5}))) ==
          "malformed Forget: expected an array of 1, found one of 2");
    CHECK(fault_of(frame(kSubmit, bytes({0x90, 0x92, 1, 5}))) ==
          "malformed Submit: expected an array of 3, found one of 2");
    CHECK(fault_of(frame(kSubmit, bytes({0x90, 0x93, 1, 5, 0x92, 0xc4, 0}))) ==
          "malformed Submit: expected an array of 3, found one of 2");  // half a blob
    CHECK(fault_of(frame(kForget, "")) == "malformed Forget: expected more, found the end");
  }

  TEST_CASE("a number out of range, negative or of another kind is refused") {
    CHECK(decode(frame(kForget, bytes({0x91, 0xce, 0xff, 0xff, 0xff, 0xff}))));
    CHECK(decode(frame(kForget, bytes({0x91, 0xcf, 0, 0, 0, 0, 0, 0, 0, 5}))));  // longer than necessary
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xff}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xd0, 0xff}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xca, 0, 0, 0, 0}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xa1, '5'}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xc0}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xc3}))));
    CHECK_FALSE(decode(frame(kForget, bytes({0x91, 0xc1}))));
  }

  TEST_CASE("a string is not bytes, and bytes are not a string") {
    CHECK(decode(frame(kGoodbye, bytes({0x91, 0xa1, 'x'}))));
    CHECK_FALSE(decode(frame(kGoodbye, bytes({0x91, 0xc4, 1, 'x'}))));
    CHECK(decode(frame(kSubmit, bytes({0x90, 0x93, 1, 5, 0xc4, 1, 'x'}))));
    CHECK_FALSE(decode(frame(kSubmit, bytes({0x90, 0x93, 1, 5, 0xa1, 'x'}))));
  }

  TEST_CASE("an id of another size is refused") {
    std::string body = bytes({0x91, 0xc4, 15});
    CHECK_FALSE(decode(frame(22, body + std::string(15, 'u'))));
    body[2] = 17;
    CHECK_FALSE(decode(frame(22, body + std::string(17, 'u'))));
    body[2] = 16;
    CHECK(decode(frame(22, body + std::string(16, 'u'))));
  }

  TEST_CASE("a count or length that the frame cannot hold is refused without memory for it") {
    // Each claims four thousand million elements, or bytes.
    CHECK_FALSE(decode(frame(kCancel, bytes({0x91, 0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}))));
    CHECK_FALSE(decode(frame(kGoodbye, bytes({0x91, 0xdb, 0xff, 0xff, 0xff, 0xff, 'x'}))));
    CHECK_FALSE(decode(frame(kSubmit, bytes({0x90, 0x93, 1, 5, 0xc6, 0xff, 0xff, 0xff, 0xff, 'x'}))));
    CHECK_FALSE(decode(frame(kSubmit, bytes({0xdd, 0xff, 0xff, 0xff, 0xff}))));
    CHECK_FALSE(decode(frame(kAck, bytes({0xdf, 0xff, 0xff, 0xff, 0xff}))));
    const auto worker = bytes({0x99}) + bytes({0xc4, 16}) + std::string(16, 'u') +
                        bytes({0xa1, 'n', 0xa1, 'h', 1, 1, 0xa1, 'a', 0xa1, 'l'});
    CHECK(decode(frame(kHelloWorker, worker + bytes({0x80, 0x90}))));
    CHECK_FALSE(decode(frame(kHelloWorker, worker + bytes({0xdf, 0xff, 0xff, 0xff, 0xff, 0x90}))));
    CHECK_FALSE(decode(frame(kHelloWorker, worker + bytes({0x80, 0xdd, 0xff, 0xff, 0xff, 0xff}))));
  }

  TEST_CASE("arrays within arrays go no deeper than the message does") {
    CHECK_FALSE(decode(frame(kCancel, std::string(1'000'000, '\x91'))));
    CHECK_FALSE(decode(frame(kSubmit, bytes({0x90}) + std::string(1'000'000, '\x93'))));
  }

  TEST_CASE("an element of a million that is wrong spoils the message") {
    std::string body = bytes({0x91, 0xdd, 0, 0x0f, 0x42, 0x40}) + std::string(1'000'000, '\x07');
    CHECK(decode(frame(kCancel, body)));
    body.back() = '\xc0';
    CHECK_FALSE(decode(frame(kCancel, body)));
  }
}

}  // namespace weft::wire

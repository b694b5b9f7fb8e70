// SPDX-License-Identifier: MIT
// Peers of different minor versions: how an older one decodes a newer one's messages, and the reverse.
#include <doctest/doctest.h>

#include "common/wire/codec.hpp"
#include "common/wire/record_codec.hpp"
#include "tests/newer_peer.hpp"
#include "tests/unit/wire_samples.hpp"

namespace weft::wire {

namespace {

/// `message` without the tails that forwarded records have.
Message without_tails(const Message& message) {
  Message out = message;
  const auto strip = [](auto& record) {
    if constexpr (requires { record.payload; }) record.payload = record.payload.without_tail();
  };
  std::visit(
      [&]<class M>(M& m) {
        if constexpr (Batch<M>) {
          for (auto& record : m.*Layout<M>::records) strip(record);
        }
        if constexpr (requires { m.content; }) m.content.tail = {};
      },
      out);
  return out;
}

/// Calls f(tail) for each forwarded record in `message`.
template <class F>
void for_each_tail(const Message& message, F&& f) {
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (Batch<M>) {
          for (const auto& record : m.*Layout<M>::records) {
            if constexpr (Forwarded<std::remove_cvref_t<decltype(record)>>) f(tail_of(record));
          }
        }
        if constexpr (requires { m.content; }) f(tail_of(m.content));
      },
      message);
}

/// Writes only what the protocol requires of a message.
template <class T>
void write_required(BufferWriter& out, const T& value) {
  if constexpr (HasLayout<T>) {
    out.array(kRequiredFields<T>);
    for_each_description<T>([&](const auto& field) {
      if (!field.is_optional) write_required(out, value.*field.member);
    });
  } else {
    write(out, value);
  }
}

std::string encode_required(const Message& message) {
  ByteBuffer frame(encode(message).substr(0, 8));
  std::visit(
      [&]<class M>(const M& m) {
        BufferWriter out(frame);
        write_required(out, m);
        if constexpr (Batch<M>) {
          for (const auto& record : m.*Layout<M>::records) write_required(out, record);
        }
      },
      message);
  return frame.take();
}

/// Sets the optional fields of `value` to their defaults.
template <class T>
void reset_optional(T& value) {
  if constexpr (HasLayout<T>) {
    for_each_description<T>([&](const auto& field) {
      auto& member = value.*field.member;
      if (field.is_optional) {
        member = defaults<T>().*field.member;
      } else {
        reset_optional(member);
      }
    });
  } else if constexpr (kIsVector<T>) {
    for (auto& element : value) reset_optional(element);
  }
}

Message with_defaults(Message message) {
  std::visit(
      []<class M>(M& m) {
        reset_optional(m);
        if constexpr (Batch<M>) reset_optional(m.*Layout<M>::records);
      },
      message);
  return message;
}

std::string with_minor(std::string frame, std::uint8_t minor) {
  frame[5] = static_cast<char>(minor);
  return frame;
}

}  // namespace

TEST_SUITE("growth of the protocol") {
  TEST_CASE("fields that a newer peer has appended to any message are passed over") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const auto decoded = decode(encode_newer(message));
      REQUIRE(decoded);
      CHECK((without_tails(*decoded) == message));
    }
  }

  TEST_CASE("forwarded records keep unknown fields, and a peer that knows the fields gets them") {
    std::size_t tails = 0;
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const auto read = decode(encode_newer(message));
      REQUIRE(read);
      const auto passed_on = decode(encode(*read));  // the broker stamps it with its own version
      REQUIRE(passed_on);
      for_each_tail(*passed_on, [&](const Tail& tail) {
        ++tails;
        CHECK(tail.fields == 1);
        CHECK(tail.bytes == kNewerField);
      });
      CHECK((without_tails(*passed_on) == message));
    }
    CHECK(tails == 9);  // two specs, and the records of SUBMIT, REANNOUNCE, DELIVER, ASSIGN and RESULTS
  }

  TEST_CASE(
      "a peer of this version that appends a field is refused, unless it may have come with the record") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const bool has_fields =
          std::visit([]<class M>(const M&) { return kFieldCount<M> > 0 || Batch<M>; }, message);
      const auto decoded = decode(with_minor(encode_newer(message), kMinor));
      CHECK_FALSE(static_cast<bool>(decoded));
      if (has_fields) CHECK(decoded.fault().find("expected an array of") != std::string::npos);
    }
    const Submit submit{{{1, 5, Payload(std::string_view("arg"))}}};
    const auto passed_on = decode(with_minor(encode(*decode(encode_newer(submit))), kMinor));
    REQUIRE(passed_on);
    CHECK(std::get<Submit>(*passed_on).tasks[0].payload.has_tail());
  }

  TEST_CASE("what an older peer leaves out of any message has its default") {
    for (const Message& message : one_of_each()) {
      CAPTURE(describe(message));
      const std::string frame = encode_required(message);
      const auto decoded = decode(with_minor(frame, 0));
      REQUIRE(decoded);
      CHECK((*decoded == with_defaults(message)));
      CHECK(encode(*decoded) == frame);  // nor is it encoded
    }
  }

  TEST_CASE("a required field is required of every peer") {
    for (const std::uint8_t minor : {std::uint8_t{0}, kMinor, kNewerMinor}) {
      CAPTURE(minor);
      CHECK_FALSE(
          decode(with_minor(std::string("WEFT\x02\x00\x08\x00\x90", 9), minor)));  // FORGET of nothing
      CHECK(decode(with_minor(std::string("WEFT\x02\x00\x08\x00\x91\x05", 10), minor)));
    }
  }

  TEST_CASE("an older broker, which does not know a field of this version, passes it on as well") {
    TaskSpec spec = sample_spec();
    spec.directory = "/data";
    spec.threads = 1;
    spec.environment.clear();
    spec.start.clear();
    const auto at_broker = decode(encode(Define{5, spec}), 0);
    REQUIRE(at_broker);
    const TaskSpec& content = std::get<Define>(*at_broker).content;
    CHECK(content.directory.empty());
    CHECK(content.tail == Tail{1, 11, "\xa5/data"});
    const auto at_worker = decode(encode(DefineFor{{}, 5, content}, 0));
    REQUIRE(at_worker);
    CHECK((std::get<DefineFor>(*at_worker).content == spec));
  }

  TEST_CASE("a value that a newer peer has added to an enumeration is unknown") {
    const auto decoded_as = [](const Message& message) {
      const auto decoded = decode(with_minor(encode(message), kNewerMinor));
      REQUIRE(decoded);
      return *decoded;
    };
    constexpr int kNewer = 77;
    TaskSpec spec;
    spec.kind = static_cast<TaskKind>(kNewer);
    CHECK(std::get<Define>(decoded_as(Define{1, spec})).content.kind == TaskKind::unknown);
    const Results results{{}, 1, true, 1, {{1, 1, 1, static_cast<Outcome>(kNewer), {}}}};
    CHECK(std::get<Results>(decoded_as(results)).records[0].outcome == Outcome::unknown);
    const Claims claims{{}, {{1, {}, static_cast<ClaimState>(kNewer)}}};
    CHECK(std::get<Claims>(decoded_as(claims)).tasks[0].state == ClaimState::unknown);
    const Revoke revoke{{}, static_cast<RevokeMode>(kNewer), {}};
    CHECK(std::get<Revoke>(decoded_as(revoke)).mode == RevokeMode::unknown);
    const Refuse refuse{static_cast<RefuseCode>(kNewer), ""};
    CHECK(std::get<Refuse>(decoded_as(refuse)).code == RefuseCode::unknown);
    const Deliver deliver{1, {{1, static_cast<DeliveryKind>(kNewer), Outcome::ok, 0, 0, {}}}};
    CHECK(std::get<Deliver>(decoded_as(deliver)).records[0].kind == DeliveryKind::unknown);
  }

  TEST_CASE("an essential field that is set says which version it needs, and one at rest needs none") {
    TaskSpec spec = sample_spec();
    spec.directory = "";
    spec.threads = 1;
    spec.environment.clear();
    spec.start.clear();
    CHECK_FALSE(required_beyond(spec, 0));
    spec.directory = "/data";
    auto requirement = required_beyond(spec, 0);
    REQUIRE(requirement);
    CHECK(requirement->field == "directory");
    CHECK(requirement->minor == 1);
    CHECK_FALSE(required_beyond(spec, 1));
    spec.threads = 2;
    requirement = required_beyond(spec, 1);
    REQUIRE(requirement);
    CHECK(requirement->field == "threads");
    CHECK(requirement->minor == 2);
    CHECK_FALSE(required_beyond(spec, 2));
  }

  TEST_CASE("records that travel through the broker as one another have the same optional fields") {
    CHECK(kFieldCount<SubmitRecord> - kRequiredFields<SubmitRecord> ==
          kFieldCount<AssignRecord> - kRequiredFields<AssignRecord>);
    CHECK(kFieldCount<ReannounceRecord> - kRequiredFields<ReannounceRecord> ==
          kFieldCount<AssignRecord> - kRequiredFields<AssignRecord>);
    CHECK(kFieldCount<ResultRecord> - kRequiredFields<ResultRecord> ==
          kFieldCount<DeliveryRecord> - kRequiredFields<DeliveryRecord>);
  }

  TEST_CASE("a payload keeps its tail, says nothing of it, and can do without") {
    const Tail tail{2, 0, "\x01\x02"};
    for (const Payload& plain : {Payload(std::string_view("abc")), Payload(std::string(100, 'x')), Payload(),
                                 Payload(BlobRef{sample_uuid(), sample_blob(), 70'000})}) {
      const Payload with = plain.with_tail(tail);
      CHECK(with.has_tail());
      CHECK(with.tail() == tail);
      CHECK(with.is_blob() == plain.is_blob());
      CHECK_FALSE(with == plain);
      CHECK(with.without_tail() == plain);
      if (plain.is_blob()) {
        CHECK(with.blob() == plain.blob());
      } else {
        CHECK(with.inline_bytes() == plain.inline_bytes());
      }
    }
  }
}

}  // namespace weft::wire

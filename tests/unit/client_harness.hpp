// SPDX-License-Identifier: MIT
// Drives a client::ClientCore by hand: verbs in, whole action lists out.
#pragma once

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "client/core/client_core.hpp"
#include "common/wire/codec.hpp"

namespace weft::client {

inline constexpr const char* kBroker = "tcp://broker:8786";

inline std::ostream& operator<<(std::ostream& out, const Action& action) {
  if (const auto* send = std::get_if<Send>(&action)) return out << "Send " << wire::describe(send->message);
  if (const auto* told = std::get_if<Notify>(&action)) return out << "Notify " << text_of(*told->notice);
  if (const auto* gave_up = std::get_if<GaveUp>(&action)) return out << "GaveUp " << gave_up->reason;
  if (const auto* complete = std::get_if<Complete>(&action)) {
    out << "Complete";
    for (const auto& task : complete->tasks) out << ' ' << task.seq << '=' << static_cast<int>(task.outcome);
    return out;
  }
  return out << "action " << action.index();
}

}  // namespace weft::client

namespace weft::client::test {

using namespace std::chrono_literals;

inline Uuid uuid(std::uint8_t n) {
  Uuid id;
  id.bytes.fill(n);
  return id;
}
inline BlobId blob_id(std::uint8_t n) {
  BlobId id;
  id.bytes.fill(n);
  return id;
}
inline std::string lines(const Actions& actions) {
  std::ostringstream out;
  for (const Action& action : actions) out << "  " << action << '\n';
  return out.str();
}

class Harness {
 public:
  explicit Harness(ClientCore::Settings settings = defaults()) : session(std::move(settings), Time{}) {}

  static ClientCore::Settings defaults() {
    return {.id = uuid(1), .name = "test", .host = "here", .pid = 7, .address = kBroker};
  }

  /// Steps one event, and checks the invariants.
  Actions step(const Event& event) {
    Actions actions;
    session.step(now, event, actions);
    session.check_invariants();
    return actions;
  }
  Actions tick() { return step(Tick{}); }
  Actions receive(wire::Message message) { return step(Received{std::move(message)}); }
  /// Lets time pass, with a Tick whenever one is due.
  Actions advance(Duration duration) {
    Actions all;
    const Time end = now + duration;
    while (session.deadline() && *session.deadline() <= end) {
      now = std::max(now, *session.deadline());
      for (Action& action : tick()) all.push_back(std::move(action));
    }
    now = end;
    return all;
  }

  /// Connects up to the broker's WELCOME; returns the actions that follow WELCOME.
  Actions join(std::uint64_t epoch = 5, bool resumed = false, std::uint64_t received = 0) {
    while (true) {
      const Actions actions = advance(std::max(Duration(0), *session.deadline() - now));
      if (std::find(actions.begin(), actions.end(), Action(OpenLink{})) != actions.end()) break;
    }
    hello = step(LinkUp{});
    return receive(wire::Welcome{
        .epoch = epoch, .heartbeat_ms = 1000, .liveness = 3, .resumed = resumed, .received = received});
  }

  wire::SubmitRecord task(std::uint64_t seq, std::uint32_t spec = 1, const std::string& payload = "p") {
    return {.seq = seq, .spec = spec, .payload = wire::Payload(payload)};
  }
  Actions submit(std::vector<wire::SubmitRecord> tasks) { return step(Submit{std::move(tasks)}); }
  void define(std::uint32_t spec = 1, wire::TaskSpec content = {.function = "f"}) {
    CHECK(step(DefineSpec{spec, std::move(content)}).empty());
  }
  /// Joins, with tasks 1 to `count` sent and received.
  void running_tasks(std::uint64_t count) {
    define();
    join();
    std::vector<wire::SubmitRecord> tasks;
    for (std::uint64_t seq = 1; seq <= count; ++seq) tasks.push_back(task(seq));
    submit(std::move(tasks));
    CHECK(receive(wire::Received{count}).empty());
  }
  Actions deliver(std::uint64_t number, wire::DeliveryRecord record) {
    return receive(wire::Deliver{.first = number, .records = {std::move(record)}});
  }

  Time now{};
  ClientCore session;
  Actions hello;  // actions after the last LinkUp
};

inline Action completed(std::uint64_t seq, const std::string& payload) {
  return Complete{{{.seq = seq, .payload = wire::Payload(payload)}}};
}
inline Action cancelled(std::uint64_t seq) {
  return Complete{{{.seq = seq, .outcome = wire::Outcome::cancelled, .attempts = 0}}};
}

// ---- messages from and to the broker ----

inline wire::DeliveryRecord ok(std::uint64_t seq, const std::string& payload = "r") {
  return {.seq = seq, .payload = wire::Payload(payload)};
}
inline wire::DeliveryRecord ok_blob(std::uint64_t seq, const wire::BlobRef& ref) {
  return {.seq = seq, .payload = wire::Payload(ref)};
}
inline wire::DeliveryRecord charged(std::uint64_t seq, std::uint32_t crashes, const wire::ErrorInfo& info) {
  return {.seq = seq,
          .kind = wire::DeliveryKind::charged,
          .outcome = wire::Outcome::crashed,
          .crashes = crashes,
          .payload = wire::Payload(wire::encode_error(info))};
}
inline wire::TaskSpec spec(const std::string& function) { return {.function = function}; }
inline Action get(const wire::BlobRef& ref, std::uint64_t offset, std::uint32_t bytes) {
  return Send{wire::Get{.holder = ref.holder, .id = ref.id, .offset = offset, .bytes = bytes}};
}
inline wire::Data chunk(const wire::BlobRef& ref, std::uint64_t offset, std::size_t bytes) {
  return {.id = ref.id, .offset = offset, .bytes = Bytes(std::string(bytes, 'x'))};
}

inline constexpr std::uint32_t kChunk = wire::kChunkBytes;

}  // namespace weft::client::test

#define CHECK_ACTIONS(actual, ...)                                                                   \
  do {                                                                                               \
    const Actions actual_ = (actual);                                                                \
    const Actions expected_ = Actions __VA_ARGS__;                                                   \
    CHECK_MESSAGE(actual_ == expected_, "\n" << lines(actual_) << "expected\n" << lines(expected_)); \
  } while (false)

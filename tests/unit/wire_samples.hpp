// SPDX-License-Identifier: MIT
// One message of each type with a distinct value in every field, in the order of their type numbers.
#pragma once

#include <string>
#include <vector>

#include "common/wire/messages.hpp"

namespace weft::wire {

inline Uuid sample_uuid() {
  Uuid id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(0xa0 + i);
  return id;
}

inline BlobId sample_blob() {
  BlobId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(0x10 + i);
  return id;
}

inline TaskSpec sample_spec() {
  return {.kind = TaskKind::program,
          .program = {"prog", sample_blob(), 70'000},
          .libraries = {{"libx.so.1", sample_blob(), 300}},
          .function_index = 7,
          .function = "inc",
          .signature = "long(long)",
          .label = "label",
          .priority = -3,
          .retries = 2,
          .retry_delay_ms = 250,
          .timeout_ms = 100'000,
          .queue_timeout_ms = 5'000'000'000,
          .crash_limit = 4,
          .resources = {{"gpu", 1.0}, {"memory", 0.5}},
          .workers = {"a", "b"},
          .prefer = {"c"},
          .detach = true,
          .directory = "/data",
          .threads = 4,
          .environment = {{"LANG", "C"}, {"OMP_PROC_BIND", "true"}},
          .start = {{"+1f2a0 void()", Bytes(std::string_view("first"))}}};
}

inline std::vector<Message> one_of_each() {
  const Uuid uuid = sample_uuid();
  const BlobId blob = sample_blob();
  const Payload text(std::string_view("arg"));
  const Payload far(BlobRef{uuid, blob, 100'000});
  const Attempt attempt{0x1122334455667788, 9};
  return {
      HelloClient{uuid, "prog@host", "host", 4321, 0xfedcba9876543210, 17, 90'000},
      HelloWorker{
          uuid, "w1", "host", 99, 8, "x86_64", "glibc 2.36", {{"gpu", 2.0}}, {"add", "mul"}, 8'000'000'000},
      Welcome{0xfedcba9876543210, 1000, 3, true, 12},
      Refuse{RefuseCode::name_taken, "taken"},
      Heartbeat{"it has used 93 % of its memory", 1},
      Goodbye{"bye"},
      Define{5, sample_spec()},
      Forget{5},
      Submit{{{1, 5, text}, {2, 5, far}}},
      Reannounce{{{1, 5, 2, 1, 1500, text}}},
      Synced{},
      Cancel{{1, 2, 300}},
      Ack{65536},
      Received{65535},
      Deliver{3,
              {{1, DeliveryKind::final, Outcome::ok, 1, 2, text},
               {2, DeliveryKind::charged, Outcome::crashed, 0, 1, far}}},
      Running{{4, 5}},
      DefineFor{uuid, 5, sample_spec()},
      ForgetFor{uuid, 5},
      Assign{uuid, {{1, 200, 5, 3, true, text}}},
      Revoke{uuid, RevokeMode::retract, {{1, attempt}}},
      Release{uuid, 6},
      Resend{uuid},
      EndSession{uuid},
      Claims{uuid, {{1, attempt, ClaimState::running, 3}, {2, attempt, ClaimState::done, 1}}},
      Ready{},
      Results{uuid, 0x1122334455667788, true, 4, {{1, 200, 1234, Outcome::failed, text}}},
      Started{uuid, {{1, attempt}}},
      Returned{uuid, {{1, attempt}}},
      Draining{},
      Get{uuid, blob, 524288, 524288},
      Data{blob, 524288, Bytes("bytes")},
      Gone{blob, "gone"},
      Drop{uuid, blob},
      StatusRequest{true},
      Status{.version = "0.1.0",
             .epoch = 77,
             .uptime_ms = 123456,
             .workers = 1,
             .slots = 2,
             .slots_busy = 3,
             .clients = 4,
             .queued = 5,
             .assigned = 6,
             .finished = 7,
             .queued_bytes = 8,
             .worker_list =
                 {{"w1", "host", 99, "busy", 2, 1, 3, {{"gpu", 2.0}}, {{"gpu", 1.5}}, 10, 11, "silent"}},
             .client_list = {{"prog", "host", "a0a1a2a3", "connected", 12, 13, 14}},
             .waiting_list = {{"prog", "label", 15, "no worker has joined"}},
             .departed = {"3 s ago: client prog has left"}},
      Journaled{{4, 5}},
      Find{"label"},
      Found{"label",
            2,
            {{uuid, 3, 1, true}, {uuid, 4, 1}},
            {{uuid, "prog@host", "host", "inc", 1'700'000'000'000}}},
      DrainWorker{"w1"},
      Why{"a0a1a2a3-4"},
      Answer{true, "it waits"},
      Leave{},
      Fetched{{{uuid, 3}}},
  };
}

}  // namespace weft::wire

// SPDX-License-Identifier: MIT
// Every message on the wire as a plain value. PROTOCOL.md says who may send each message and which message
// answers it, layout.hpp what each field means; codec.hpp encodes and decodes.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/wire/question_messages.hpp"
#include "common/wire/records.hpp"

namespace weft::wire {

// ---- presence, both roles ----

struct HelloClient {
  Uuid session;
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::uint64_t epoch = 0;
  std::uint64_t delivered = 0;
  std::uint64_t give_up_ms = 60'000;
  bool operator==(const HelloClient&) const = default;
};

struct HelloWorker {
  Uuid incarnation;
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::uint32_t slots = 0;
  std::string arch;
  std::string libc;
  std::map<std::string, double> resources;
  std::vector<std::string> functions;
  std::uint64_t memory = 0;
  bool operator==(const HelloWorker&) const = default;
};

struct Welcome {
  std::uint64_t epoch = 0;
  std::uint32_t heartbeat_ms = 0;
  std::uint32_t liveness = 0;
  bool resumed = false;
  std::uint64_t received = 0;
  bool operator==(const Welcome&) const = default;
};

enum class RefuseCode : std::uint8_t {
  version = 0,
  name_taken = 1,
  unknown_peer = 2,
  malformed = 3,
  not_allowed = 4,
  unknown = 255
};

struct Refuse {
  RefuseCode code = RefuseCode::malformed;
  std::string text;
  bool operator==(const Refuse&) const = default;
};

/// A sign of life. From a worker it may also be backpressure: `hold` is why the worker accepts no new tasks.
struct Heartbeat {
  std::string hold;
  std::uint32_t hold_slots = 0;
  bool operator==(const Heartbeat&) const = default;
};

struct Goodbye {
  std::string reason;
  bool operator==(const Goodbye&) const = default;
};

// ---- client to broker ----

struct Define {
  std::uint32_t spec = 0;
  TaskSpec content;
  bool operator==(const Define&) const = default;
};

struct Forget {
  std::uint32_t spec = 0;
  bool operator==(const Forget&) const = default;
};

struct SubmitRecord {
  std::uint64_t seq = 0;
  std::uint32_t spec = 0;
  Payload payload;
  bool operator==(const SubmitRecord&) const = default;
};
struct Submit {
  std::vector<SubmitRecord> tasks;
  bool operator==(const Submit&) const = default;
};

struct ReannounceRecord {
  std::uint64_t seq = 0;
  std::uint32_t spec = 0;
  std::uint32_t retries_used = 0;
  std::uint32_t crashes = 0;
  std::uint64_t waited_ms = 0;
  Payload payload;
  bool operator==(const ReannounceRecord&) const = default;
};
struct Reannounce {
  std::vector<ReannounceRecord> tasks;
  bool cancelled = false;
  bool operator==(const Reannounce&) const = default;
};

/// Ends the announcements after a WELCOME: the client has announced all of its open tasks.
struct Synced {
  bool operator==(const Synced&) const = default;
};

struct Cancel {
  std::vector<std::uint64_t> seqs;
  bool operator==(const Cancel&) const = default;
};

struct Ack {
  std::uint64_t delivered = 0;
  bool operator==(const Ack&) const = default;
};

// ---- broker to client ----

struct Received {
  std::uint64_t seq = 0;
  bool operator==(const Received&) const = default;
};

enum class DeliveryKind : std::uint8_t { final = 0, charged = 1, unknown = 255 };

struct DeliveryRecord {
  std::uint64_t seq = 0;
  DeliveryKind kind = DeliveryKind::final;
  Outcome outcome = Outcome::ok;
  std::uint32_t retries_used = 0;
  std::uint32_t crashes = 0;
  Payload payload;
  bool operator==(const DeliveryRecord&) const = default;
};
/// Record i has delivery number first + i.
struct Deliver {
  std::uint64_t first = 0;
  std::vector<DeliveryRecord> records;
  bool operator==(const Deliver&) const = default;
};

/// A hint, for display: these tasks have been running for a while.
struct Running {
  std::vector<std::uint64_t> seqs;
  bool operator==(const Running&) const = default;
};

// ---- broker to worker ----

struct DefineFor {
  Uuid session;
  std::uint32_t spec = 0;
  TaskSpec content;
  bool operator==(const DefineFor&) const = default;
};

struct ForgetFor {
  Uuid session;
  std::uint32_t spec = 0;
  bool operator==(const ForgetFor&) const = default;
};

struct AssignRecord {
  std::uint64_t seq = 0;
  std::uint64_t number = 0;
  std::uint32_t spec = 0;
  std::uint32_t execution = 1;
  bool alone = false;
  Payload payload;
  bool operator==(const AssignRecord&) const = default;
};
struct Assign {
  Uuid session;
  std::vector<AssignRecord> tasks;
  bool operator==(const Assign&) const = default;
};

enum class RevokeMode : std::uint8_t { cancel = 0, retract = 1, unknown = 255 };

struct AttemptRecord {
  std::uint64_t seq = 0;
  Attempt attempt;
  bool operator==(const AttemptRecord&) const = default;
};

struct Revoke {
  Uuid session;
  RevokeMode mode = RevokeMode::cancel;
  std::vector<AttemptRecord> tasks;
  bool operator==(const Revoke&) const = default;
};

struct Release {
  Uuid session;
  std::uint64_t outbox = 0;
  bool operator==(const Release&) const = default;
};

/// Asks the worker to send all unreleased results of this session again, from the oldest.
struct Resend {
  Uuid session;
  bool operator==(const Resend&) const = default;
};

/// The session is over: stop its tasks, drop its results, specs and blobs.
struct EndSession {
  Uuid session;
  bool operator==(const EndSession&) const = default;
};

// ---- worker to broker ----

enum class ClaimState : std::uint8_t { queued = 0, running = 1, done = 2, unknown = 255 };

struct ClaimRecord {
  std::uint64_t seq = 0;
  Attempt attempt;
  ClaimState state = ClaimState::queued;
  std::uint32_t execution = 1;
  bool operator==(const ClaimRecord&) const = default;
};
struct Claims {
  Uuid session;
  std::vector<ClaimRecord> tasks;
  bool operator==(const Claims&) const = default;
};

/// Ends the claims after a WELCOME: the worker has made all of its claims and accepts tasks.
struct Ready {
  bool operator==(const Ready&) const = default;
};

struct ResultRecord {
  std::uint64_t seq = 0;
  std::uint64_t number = 0;
  std::uint64_t run_us = 0;
  Outcome outcome = Outcome::ok;
  Payload payload;
  bool operator==(const ResultRecord&) const = default;
};
/// Record i has outbox number first + i of this session on this worker incarnation.
struct Results {
  Uuid session;
  std::uint64_t epoch = 0;
  bool fresh = false;
  std::uint64_t first = 0;
  std::vector<ResultRecord> records;
  bool operator==(const Results&) const = default;
};

struct Started {
  Uuid session;
  std::vector<AttemptRecord> tasks;
  bool operator==(const Started&) const = default;
};

/// These tasks have not started here and will not: nothing is charged.
struct Returned {
  Uuid session;
  std::vector<AttemptRecord> tasks;
  bool operator==(const Returned&) const = default;
};

/// The worker accepts no new tasks. It finishes or returns those that it has, then sends GOODBYE.
struct Draining {
  bool operator==(const Draining&) const = default;
};

// ---- blobs: fetched in chunks by the peer that needs them ----

struct Get {
  Uuid holder;
  BlobId id;
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  bool operator==(const Get&) const = default;
};

struct Data {
  BlobId id;
  std::uint64_t offset = 0;
  Bytes bytes;
  bool operator==(const Data&) const = default;
};

struct Gone {
  BlobId id;
  std::string reason;
  bool operator==(const Gone&) const = default;
};

/// The client has fetched the result blob of a task, or does not want it: the worker need not retain it.
struct Drop {
  Uuid holder;
  BlobId id;
  bool operator==(const Drop&) const = default;
};

/// The position in this list, from 1, is the type number on the wire: append only.
using AnyMessage =
    std::variant<HelloClient, HelloWorker, Welcome, Refuse, Heartbeat, Goodbye, Define, Forget, Submit,
                 Reannounce, Synced, Cancel, Ack, Received, Deliver, Running, DefineFor, ForgetFor, Assign,
                 Revoke, Release, Resend, EndSession, Claims, Ready, Results, Started, Returned, Draining,
                 Get, Data, Gone, Drop, StatusRequest, Status, Journaled, Find, Found, DrainWorker, Why,
                 Answer, Leave, Fetched>;

/// Any message. A class rather than an alias, so that its copy, destruction and comparison are compiled once.
class Message : public AnyMessage {
 public:
  using AnyMessage::AnyMessage;
  Message();
  Message(const Message& other);
  Message(Message&& other) noexcept;
  Message& operator=(const Message& other);
  Message& operator=(Message&& other) noexcept;
  ~Message();
  friend bool operator==(const Message& a, const Message& b);
};

/// One line for logs and traces: the name and the identifying fields, never payload bytes.
std::string describe(const Message& message);

}  // namespace weft::wire

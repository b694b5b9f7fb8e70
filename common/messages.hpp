// SPDX-License-Identifier: MIT
// Every message on the wire as a plain value. PROTOCOL.md says what each one means, who may send
// it and what answers it; codec.hpp turns them into bytes and back. Nothing here acts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/bytes.hpp"
#include "weft/ids.hpp"

namespace weft::wire {

inline constexpr std::uint8_t kMajor = 1;  // peers must agree on it
inline constexpr std::uint8_t kMinor = 0;

inline constexpr std::size_t kMessageBytesMax = 1 << 20;  // no message is larger
inline constexpr std::size_t kInlineBytesMax = 64 << 10;  // a larger payload travels as a blob
inline constexpr std::size_t kChunkBytes = 512 << 10;     // of a blob, in one DATA
inline constexpr std::size_t kChunksInFlight = 8;         // GETs a receiver keeps open per blob

/// Where the bytes of a blob can be had: from the client session or worker incarnation `holder`.
struct BlobRef {
  Uuid holder;
  BlobId id;
  std::uint64_t size = 0;
  bool operator==(const BlobRef&) const = default;
};

/// The holder of what is in the folder beside the broker's journal.
inline constexpr Uuid kJournalHolder{
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

/// The opaque part of a task or a result: inline bytes, or a reference to a blob.
class Payload {
 public:
  Payload() = default;
  explicit Payload(Bytes bytes) : bytes_(std::move(bytes)) { bytes_.mark(false); }
  explicit Payload(std::string_view text) : bytes_(text) {}
  explicit Payload(const BlobRef& ref);

  bool is_blob() const { return bytes_.marked(); }
  /// REQUIRES: !is_blob().
  std::string_view text() const;
  const Bytes& bytes() const { return bytes_; }
  /// REQUIRES: is_blob().
  BlobRef blob() const;
  /// What it costs to keep in memory, not what it refers to.
  std::size_t size() const { return bytes_.size(); }

  friend bool operator==(const Payload& a, const Payload& b) {
    return a.is_blob() == b.is_blob() && a.bytes_ == b.bytes_;
  }

 private:
  Bytes bytes_;  // the payload, or (marked) holder, id and size of the blob one after the other
};

/// An executable or shared object that travels as a blob.
struct FileRef {
  std::string name;  // file name without folders; for a library the name that the loader looks for
  BlobId id;
  std::uint64_t size = 0;
  bool operator==(const FileRef&) const = default;
};

enum class TaskKind : std::uint8_t {
  program = 0,   // function number `function_index` of the shipped program
  library = 1,   // the function called `function` in a library that the worker has loaded
  command = 2,   // any executable; the payload holds its arguments and input
  attached = 3,  // nothing runs: the answer of a detached task, whose TaskId is the payload, is wanted
};

/// What the tasks of one `submit` or `map` have in common. A session defines each once, by number.
struct TaskSpec {
  TaskKind kind = TaskKind::program;
  FileRef program;                 // kind program only
  std::vector<FileRef> libraries;  // kind program only: shared objects that ship with it
  std::uint32_t function_index = 0;
  std::string function;   // display name; for a library the name that is called
  std::string signature;  // for a library: "long(long,double)", checked by the runner
  std::string label;
  std::int32_t priority = 0;
  std::uint32_t retries = 0;
  std::uint64_t retry_delay_ms = 0;
  std::uint64_t timeout_ms = 0;        // running time; 0: none
  std::uint64_t queue_timeout_ms = 0;  // waiting time; 0: none
  std::uint32_t crash_limit = 3;
  std::map<std::string, double> resources;
  std::vector<std::string> workers;
  std::vector<std::string> prefer;
  bool detach = false;
  bool operator==(const TaskSpec&) const = default;
};

/// How an attempt ended. On the wire between worker, broker and client.
enum class Outcome : std::uint8_t {
  ok = 0,
  failed = 1,     // the function threw
  crashed = 2,    // its runner or its worker was lost while it ran
  timed_out = 3,  // it ran longer than TaskSpec::timeout_ms
  cancelled = 4,
  cannot_start = 5,   // its program or library does not start on this worker
  unschedulable = 6,  // made by the broker: queue_timeout passed
  not_fetched = 7,    // its program or argument did not come to this worker: says nothing about either
  refused = 8,        // made by the broker: it cannot promise what the task asks for (detach)
};

/// The payload of every outcome but ok. The broker writes it only for losses that it saw itself.
struct ErrorInfo {
  std::string type;     // of the exception; "" when it was none
  std::string message;  // what(), or how it ended
  std::string worker;
  std::string host;
  std::int32_t signal = 0;      // that ended the runner; 0: none
  std::int32_t exit_code = 0;   // of the runner, when it exited by itself
  std::int64_t started_ms = 0;  // since 1970, by the worker's clock; 0: not known
  std::int64_t ended_ms = 0;
  std::string stderr_tail;  // last lines
  bool operator==(const ErrorInfo&) const = default;
};

/// Which assignment of a task: the broker's epoch and a number that this broker gives out once.
struct Attempt {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Attempt&) const = default;
};

// ---- presence, both roles ----

struct HelloClient {
  Uuid session;
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::uint64_t epoch = 0;      // of the broker that it last had; 0: none
  std::uint64_t delivered = 0;  // highest delivery number that it has from that epoch
  bool operator==(const HelloClient&) const = default;
};

struct HelloWorker {
  Uuid incarnation;
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::uint32_t slots = 0;
  std::string arch;  // "x86_64"
  std::string libc;  // "glibc 2.36"
  std::map<std::string, double> resources;
  std::vector<std::string> functions;  // names in the libraries that it has loaded
  bool operator==(const HelloWorker&) const = default;
};

struct Welcome {
  std::uint64_t epoch = 0;
  std::uint32_t heartbeat_ms = 0;
  std::uint32_t liveness = 0;
  bool resumed = false;        // this epoch has the session or incarnation already, and it has heard so
  std::uint64_t received = 0;  // client, when resumed: highest task number that has arrived
  bool operator==(const Welcome&) const = default;
};

enum class RefuseCode : std::uint8_t {
  version = 0,       // major version differs
  name_taken = 1,    // another worker has this name
  unknown_peer = 2,  // say HELLO first: this broker does not know this connection
  malformed = 3,     // the message could not be decoded
  not_allowed = 4,   // valid, but not from this role or in this state
};

struct Refuse {
  RefuseCode code = RefuseCode::malformed;
  std::string text;
  bool operator==(const Refuse&) const = default;
};

struct Heartbeat {
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
  std::uint64_t waited_ms = 0;  // of queue_timeout, spent under earlier brokers
  Payload payload;
  bool operator==(const ReannounceRecord&) const = default;
};
struct Reannounce {
  std::vector<ReannounceRecord> tasks;
  bool operator==(const Reannounce&) const = default;
};

/// After a WELCOME: everything that is open has been announced (again).
struct Synced {
  bool operator==(const Synced&) const = default;
};

struct Cancel {
  std::vector<std::uint64_t> seqs;
  bool operator==(const Cancel&) const = default;
};

struct Ack {
  std::uint64_t delivered = 0;  // this delivery number and all before it are with the client
  bool operator==(const Ack&) const = default;
};

// ---- broker to client ----

struct Received {
  std::uint64_t seq = 0;  // this task number and all before it are with the broker
  bool operator==(const Received&) const = default;
};

enum class DeliveryKind : std::uint8_t {
  final = 0,    // the answer; exactly one for each task
  charged = 1,  // an attempt counted against retries or crashes; the task goes on
};

struct DeliveryRecord {
  std::uint64_t seq = 0;
  DeliveryKind kind = DeliveryKind::final;
  Outcome outcome = Outcome::ok;
  std::uint32_t retries_used = 0;
  std::uint32_t crashes = 0;
  Payload payload;  // the result, or an ErrorInfo
  bool operator==(const DeliveryRecord&) const = default;
};
/// Record i has delivery number first + i.
struct Deliver {
  std::uint64_t first = 0;
  std::vector<DeliveryRecord> records;
  bool operator==(const Deliver&) const = default;
};

/// A hint: these tasks have been running for a little while.
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
  std::uint64_t number = 0;  // Attempt::number; the epoch is that of the connection
  std::uint32_t spec = 0;
  std::uint32_t execution = 1;  // this_task::attempt(): executions started, from 1
  bool alone = false;           // in a fresh runner that gets nothing else before or beside it
  Payload payload;
  bool operator==(const AssignRecord&) const = default;
};
struct Assign {
  Uuid session;
  std::vector<AssignRecord> tasks;
  bool operator==(const Assign&) const = default;
};

enum class RevokeMode : std::uint8_t {
  cancel = 0,   // stop it whatever it does; answered by a RESULT (cancelled, or what came first)
  retract = 1,  // give it back if it has not started; answered by RETURNED or in time by a RESULT
};

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
  std::uint64_t outbox = 0;  // this outbox number and all before it need not be kept
  bool operator==(const Release&) const = default;
};

/// Send everything of this session that has not been released once more, from the start.
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

enum class ClaimState : std::uint8_t { queued = 0, running = 1, done = 2 };

struct ClaimRecord {
  std::uint64_t seq = 0;
  Attempt attempt;
  ClaimState state = ClaimState::queued;
  std::uint32_t execution = 1;  // as its ASSIGN said: tells whether an end that it had is counted already
  bool operator==(const ClaimRecord&) const = default;
};
struct Claims {
  Uuid session;
  std::vector<ClaimRecord> tasks;
  bool operator==(const Claims&) const = default;
};

/// After a WELCOME: all claims are made, tasks may come.
struct Ready {
  bool operator==(const Ready&) const = default;
};

struct ResultRecord {
  std::uint64_t seq = 0;
  std::uint64_t number = 0;  // Attempt::number
  std::uint64_t run_us = 0;
  Outcome outcome = Outcome::ok;
  Payload payload;  // the result, or an ErrorInfo
  bool operator==(const ResultRecord&) const = default;
};
/// Record i has outbox number first + i of this session on this worker incarnation.
struct Results {
  Uuid session;
  std::uint64_t epoch = 0;  // of all attempts in it
  bool fresh = false;       // begins at the oldest that is not released: after READY, RESEND, or ever
  std::uint64_t first = 0;
  std::vector<ResultRecord> records;
  bool operator==(const Results&) const = default;
};

struct Started {
  Uuid session;
  std::vector<AttemptRecord> tasks;
  bool operator==(const Started&) const = default;
};

/// Tasks that did not start here and will not: nothing is charged.
struct Returned {
  Uuid session;
  std::vector<AttemptRecord> tasks;
  bool operator==(const Returned&) const = default;
};

/// No new tasks, please; the rest is finished or returned, then GOODBYE follows.
struct Draining {
  bool operator==(const Draining&) const = default;
};

// ---- blobs: asked for by whoever needs them, in chunks ----

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

/// A client has the result blob of this task, or does not want it: the worker need not keep it.
struct Drop {
  Uuid holder;
  BlobId id;
  bool operator==(const Drop&) const = default;
};

// ---- status: for anyone, without a HELLO ----

struct StatusRequest {
  bool details = false;  // false: version, epoch and totals only (a ping)
  bool operator==(const StatusRequest&) const = default;
};

struct WorkerStatus {
  std::string name;
  std::string host;
  std::uint64_t pid = 0;
  std::string state;  // idle busy draining lost
  std::uint32_t slots = 0;
  std::uint32_t running = 0;   // tasks, at most slots
  std::uint64_t assigned = 0;  // tasks, with those that wait there
  std::map<std::string, double> resources;
  std::map<std::string, double> resources_free;
  std::uint64_t finished = 0;  // attempts, since it joined
  std::uint64_t heard_ms_ago = 0;
  std::string note;  // what is wrong with it; "": nothing
  bool operator==(const WorkerStatus&) const = default;
};

struct ClientStatus {
  std::string name;
  std::string host;
  std::string session;
  std::string state;  // connected lost leaving detached
  std::uint64_t queued = 0;
  std::uint64_t assigned = 0;
  std::uint64_t finished = 0;
  bool operator==(const ClientStatus&) const = default;
};

/// Why some tasks wait although workers are there, in one sentence.
struct WaitingStatus {
  std::string client;
  std::string label;
  std::uint64_t tasks = 0;
  std::string reason;
  bool operator==(const WaitingStatus&) const = default;
};

struct Status {
  std::string version;  // of the program, "0.1.0"
  std::uint64_t epoch = 0;
  std::uint64_t uptime_ms = 0;
  std::uint32_t workers = 0;
  std::uint32_t slots = 0;
  std::uint32_t slots_busy = 0;
  std::uint32_t clients = 0;
  std::uint64_t queued = 0;
  std::uint64_t assigned = 0;
  std::uint64_t finished = 0;
  std::uint64_t queued_bytes = 0;
  std::vector<WorkerStatus> worker_list;    // details only
  std::vector<ClientStatus> client_list;    // details only
  std::vector<WaitingStatus> waiting_list;  // details only
  bool operator==(const Status&) const = default;
};

// ---- detached tasks ----

/// These detached tasks are in the broker's journal: from now on they survive their client.
struct Kept {
  std::vector<std::uint64_t> seqs;
  bool operator==(const Kept&) const = default;
};

/// Which detached tasks have this label? From anyone, without a HELLO.
struct Find {
  std::string label;
  bool operator==(const Find&) const = default;
};

struct TaskRef {
  Uuid session;
  std::uint64_t seq = 0;
  bool operator==(const TaskRef&) const = default;
};
/// The program has the answers of these detached tasks: they need not be kept.
struct Fetched {
  std::vector<TaskRef> tasks;
  bool operator==(const Fetched&) const = default;
};
/// `total` of them, in as many messages as it takes.
struct Found {
  std::string label;
  std::uint64_t total = 0;
  std::vector<TaskRef> tasks;
  bool operator==(const Found&) const = default;
};

// ---- from people, by way of `weft`; without a HELLO ----

/// Let this worker finish what it runs, take nothing new, and leave.
struct DrainWorker {
  std::string worker;  // its name
  bool operator==(const DrainWorker&) const = default;
};
/// Why is this task where it is?
struct Why {
  std::string task;  // as TaskId::text() writes it
  bool operator==(const Why&) const = default;
};
/// To DrainWorker and Why.
struct Answer {
  bool ok = false;
  std::string text;
  bool operator==(const Answer&) const = default;
};
/// Broker to worker: drain, as after SIGTERM.
struct Leave {
  bool operator==(const Leave&) const = default;
};

/// The order is the type number on the wire, from 1: append only.
using AnyMessage =
    std::variant<HelloClient, HelloWorker, Welcome, Refuse, Heartbeat, Goodbye, Define, Forget, Submit,
                 Reannounce, Synced, Cancel, Ack, Received, Deliver, Running, DefineFor, ForgetFor, Assign,
                 Revoke, Release, Resend, EndSession, Claims, Ready, Results, Started, Returned, Draining,
                 Get, Data, Gone, Drop, StatusRequest, Status, Kept, Find, Found, DrainWorker, Why, Answer,
                 Leave, Fetched>;

/// Any message. A class of its own, so that what copies, ends and compares it is compiled once.
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

/// One line for logs and traces: the name and what identifies the content, never payload bytes.
std::string describe(const Message& message);

}  // namespace weft::wire

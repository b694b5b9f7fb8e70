// SPDX-License-Identifier: MIT
// Bytes as a story that the scheduler lives through: clients and workers that mostly keep to the protocol
// and sometimes do not, connections that break, time that passes. After every step the invariants must
// hold, every message must be one that its receiver can decode, and no task may get a second final delivery.
// At the end all peers leave, and no state may be left.
#include <deque>
#include <map>
#include <set>
#include <unordered_set>

#include "broker/scheduler/scheduler.hpp"
#include "common/wire/codec.hpp"
#include "tests/fuzz/draw.hpp"

using namespace weft;
using namespace weft::fuzz;
using namespace weft::broker;

namespace {

constexpr int kSteps = 400;
constexpr std::size_t kConnections = 6;

struct Assignment {
  Uuid session;
  wire::AttemptRecord attempt;
};

/// What a connection has sent and received, so that its next message can make sense.
struct Connection {
  PeerId peer = 0;
  bool client = false;
  Uuid who;                          // session or incarnation
  std::vector<Assignment> assigned;  // tasks of a worker that it has not answered
  std::map<Uuid, std::uint64_t> outbox;
  std::uint64_t delivered = 0;  // number of the last delivery to a client
};

/// What was promised to one session since its last fresh WELCOME.
struct Answers {
  std::map<std::uint64_t, std::uint64_t> asked;             // by task: SUBMITs or REANNOUNCEs
  std::map<std::uint64_t, std::set<std::uint64_t>> finals;  // delivery numbers, by task
  std::map<std::uint64_t, wire::DeliveryRecord> by_number;  // by delivery number
  std::uint64_t submitted = 0;
};

class Story {
 public:
  explicit Story(Input& in)
      : in_(in), settings_(settings(in)), scheduler_(settings_, now_), connections_(kConnections) {
    for (Connection& connection : connections_) connection.peer = next_peer_++;
  }

  void run() {
    if (settings_.journal) step(Recovered{});
    for (int i = 0; i < kSteps && !in_.empty(); ++i) happen();
    leave();
  }

 private:
  static Settings settings(Input& in) {
    Settings settings;
    settings.epoch = kEpoch;
    if (in.one_in(2)) settings.delivery_bytes_max = 64;
    if (in.one_in(2)) settings.backlog_bytes_max = 128;
    if (in.one_in(4)) settings.memory_budget = 16;
    if (in.one_in(4)) settings.program_bytes_max = 1000;
    settings.journal = in.one_in(2);
    settings.max_client_silence = std::chrono::seconds(60);
    return settings;
  }

  void happen() {
    Connection& from = connections_[in_.below(kConnections)];
    switch (in_.below(24)) {
      case 0:
        return pass(draw_pause(in_));
      case 1:
        return until_deadline();
      case 2:
        return say(from, client_hello());
      case 3:
        return say(from, worker_hello());
      case 4:
        return say(from, wire::Define{static_cast<std::uint32_t>(in_.below(4)), draw_spec(in_)});
      case 5:
      case 6:
        return submit(from);
      case 7:
        return say(from, draw_message<wire::Reannounce>(in_));
      case 8:
        return say(from, wire::Synced{});
      case 9:
        return say(from, wire::Cancel{{1 + in_.below(8)}});
      case 10:
        return say(from, wire::Ack{from.delivered});
      case 11:
        return say(from, wire::Ready{});
      case 12:
      case 13:
      case 14:
        return finish(from);
      case 15:
        return start(from);
      case 16:
        return give_back(from);
      case 17:
        return say(from, claims(from));
      case 18:
        return step(PeerGone{from.peer, from.peer % 2 == 0});
      case 19:
        return step(ReceivedGarbage{from.peer, "garbage", in_.one_in(4)});
      case 20:
        return say(from, wire::Get{draw_uuid(in_), id_of<32>(in_.below(4)), in_.number() * wire::kChunkBytes,
                                   wire::kChunkBytes});
      case 21:
        return say(from, draw_any(in_, 28 + in_.below(6)));  // of DRAINING and the blobs
      case 22:
        return commit(in_.one_in(8) ? "disk full" : "");
      default:
        return say(from, draw_any(in_));
    }
  }

  wire::HelloClient client_hello() {
    wire::HelloClient hello{draw_uuid(in_), "client", "host", 1, in_.one_in(3) ? 0 : kEpoch, 0};
    if (in_.one_in(3)) hello.delivered = in_.number();
    return hello;
  }
  wire::HelloWorker worker_hello() {
    wire::HelloWorker hello;
    // Incarnations differ from sessions, except for one in sixteen.
    hello.incarnation = in_.one_in(16) ? draw_uuid(in_) : id_of<16>(0x80 + in_.below(3));
    hello.name = "worker" + std::to_string(in_.below(3));
    hello.host = "host";
    hello.slots = static_cast<std::uint32_t>(in_.one_in(8) ? in_.number() : 1 + in_.below(3));
    draw(in_, hello.resources);
    if (in_.one_in(2)) hello.functions = {"f"};
    return hello;
  }
  wire::Claims claims(const Connection& from) {
    auto message = draw_message<wire::Claims>(in_);
    if (!from.assigned.empty() && !in_.one_in(4)) {
      const Assignment& mine = from.assigned[in_.below(std::min<std::size_t>(from.assigned.size(), 256))];
      message.session = mine.session;
      for (wire::ClaimRecord& claim : message.tasks) claim.attempt = mine.attempt.attempt;
      if (!message.tasks.empty()) message.tasks[0].seq = mine.attempt.seq;
    }
    return message;
  }

  void submit(Connection& from) {
    wire::Submit message;
    const std::uint64_t after = in_.one_in(8) ? in_.number() : answers_[from.who].submitted;
    for (std::size_t count = 1 + in_.below(4); count > 0; --count) {
      const std::uint64_t seq = after < UINT64_MAX - 8 ? after + 1 + message.tasks.size() : after;
      wire::Payload payload;
      draw(in_, payload);
      message.tasks.push_back({seq, static_cast<std::uint32_t>(in_.below(4)), payload});
    }
    say(from, message);
  }

  const Assignment* any_assignment(Connection& from) {
    return from.assigned.empty() ? nullptr : &in_.pick(from.assigned);
  }

  /// A RESULT for an assigned task, usually with the right number.
  void finish(Connection& from) {
    const Assignment* mine = any_assignment(from);
    if (mine == nullptr || in_.one_in(16)) return say(from, draw_message<wire::Results>(in_));
    std::uint64_t& outbox = from.outbox[mine->session];
    wire::Results message{
        mine->session, mine->attempt.attempt.epoch, outbox == 0 || in_.one_in(4), outbox + 1, {}};
    wire::ResultRecord record{mine->attempt.seq, mine->attempt.attempt.number, in_.number(), {}, {}};
    if (!in_.one_in(2)) draw(in_, record.outcome);
    draw(in_, record.payload);
    message.records = {record};
    ++outbox;
    say(from, message);
  }
  void start(Connection& from) {
    const Assignment* mine = any_assignment(from);
    say(from,
        mine != nullptr ? wire::Started{mine->session, {mine->attempt}} : draw_message<wire::Started>(in_));
  }
  void give_back(Connection& from) {
    const Assignment* mine = any_assignment(from);
    say(from,
        mine != nullptr ? wire::Returned{mine->session, {mine->attempt}} : draw_message<wire::Returned>(in_));
  }

  // ---- steps ----

  void say(Connection& from, wire::Message message) {
    // A connection that has not sent HELLO is no peer yet: the scheduler learns of it as it would over the
    // wire.
    if (!scheduler_.knows(from.peer)) {
      if (const auto* hello = std::get_if<wire::HelloClient>(&message)) {
        from.client = true;
        from.who = hello->session;
      }
      if (const auto* hello = std::get_if<wire::HelloWorker>(&message)) {
        from.client = false;
        from.who = hello->incarnation;
      }
      from.outbox.clear();
    }
    Answers& answers = from.client ? answers_[from.who] : nobody_;
    if (const auto* submit = std::get_if<wire::Submit>(&message)) {
      for (const auto& task : submit->tasks) {
        auto& asked = answers.asked[task.seq];
        asked = std::max<std::uint64_t>(asked, 1);  // a repeated SUBMIT means the same task
        answers.submitted = std::max(answers.submitted, task.seq);
      }
    }
    if (const auto* again = std::get_if<wire::Reannounce>(&message)) {
      for (const auto& task : again->tasks) ++answers.asked[task.seq];
    }
    const std::uint8_t minor = fuzz::draw_minor(in_, message);
    step(Received{from.peer, std::move(message), minor});
  }

  void pass(Duration duration) {
    now_ += duration;
    step(Tick{});
  }
  void until_deadline() {
    now_ = std::max(now_, scheduler_.deadline());
    step(Tick{});
  }

  void step(const Event& event) {
    trace([&] {
      const auto* received = std::get_if<Received>(&event);
      const auto* gone = std::get_if<PeerGone>(&event);
      std::string text = std::to_string(now_.time_since_epoch().count() / 1000) + " ms: ";
      if (received != nullptr)
        return text + std::to_string(received->peer) + " says " + wire::describe(received->message);
      return text + (gone != nullptr ? std::to_string(gone->peer) + " is gone"
                                     : "event " + std::to_string(event.index()));
    });
    Actions actions;
    scheduler_.step(now_, event, actions);
    scheduler_.check_invariants();
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<Send>(&action)) take(*send);
      if (std::holds_alternative<Persist>(action) || std::holds_alternative<RewriteJournal>(action) ||
          std::holds_alternative<VerifyBlob>(action)) {
        orders_.push_back(action);
      }
      if (const auto* forget = std::get_if<ForgetPeer>(&action)) {
        WEFT_CHECK(!scheduler_.knows(forget->peer));
        for (Connection& connection : connections_) {
          if (connection.peer == forget->peer) connection.peer = next_peer_++;
        }
      }
    }
  }

  /// The journal performs its oldest order now, or fails to.
  void commit(const std::string& fault) {
    if (orders_.empty()) return;
    const Action order = std::move(orders_.front());
    orders_.pop_front();
    if (const auto* persist = std::get_if<Persist>(&order)) {
      WEFT_CHECK(decode_row(persist->row));
      step(Persisted{persist->number, fault});
    } else if (const auto* rewrite = std::get_if<RewriteJournal>(&order)) {
      for (const std::string& row : rewrite->rows) WEFT_CHECK(decode_row(row));
      step(Persisted{rewrite->number, fault});
    } else if (const auto* verify = std::get_if<VerifyBlob>(&order)) {
      step(fault.empty() ? Event(BlobReady{verify->id}) : Event(BlobBad{verify->id, fault}));
    }
  }

  Connection* find(PeerId peer) {
    for (Connection& connection : connections_) {
      if (connection.peer == peer) return &connection;
    }
    return nullptr;
  }

  void take(const Send& send) {
    trace([&] { return "  to " + std::to_string(send.peer) + ": " + wire::describe(send.message); });
    Connection* to = find(send.peer);
    WEFT_CHECK(to != nullptr);  // no message goes to a forgotten peer
    const auto decoded = wire::decode(wire::encode(send.message));
    WEFT_CHECK(decoded);
    if (const auto* welcome = std::get_if<wire::Welcome>(&send.message);
        welcome && !welcome->resumed && to->client) {
      answers_[to->who] = {};
      to->delivered = 0;
    }
    if (const auto* assign = std::get_if<wire::Assign>(&send.message)) {
      for (const auto& task : assign->tasks) {
        WEFT_CHECK(attempts_.insert(task.number).second);
        to->assigned.push_back({assign->session, {task.seq, {kEpoch, task.number}}});
      }
    }
    if (const auto* deliver = std::get_if<wire::Deliver>(&send.message)) {
      Answers& answers = answers_[to->who];
      for (std::size_t i = 0; i < deliver->records.size(); ++i) {
        const wire::DeliveryRecord& record = deliver->records[i];
        const std::uint64_t number = deliver->first + i;
        to->delivered = std::max(to->delivered, number);
        const auto [known, added] = answers.by_number.try_emplace(number, record);
        WEFT_CHECK(added || known->second == record);
        if (record.kind != wire::DeliveryKind::final) continue;
        auto& finals = answers.finals[record.seq];
        finals.insert(number);
        WEFT_CHECK(finals.size() <= answers.asked[record.seq]);
      }
    }
  }

  /// All peers leave, and every grace passes: no state is left.
  void leave() {
    for (Connection& connection : connections_) step(PeerGone{connection.peer});
    for (int i = 0; i < 400; ++i) {
      commit("");
      until_deadline();
    }
    if (settings_.journal) return;  // detached tasks stay
    const wire::Status status = scheduler_.status(true);
    WEFT_CHECK(status.clients == 0 && status.client_list.empty());
    WEFT_CHECK(status.workers == 0 && status.worker_list.empty());
    WEFT_CHECK(status.queued == 0 && status.assigned == 0 && status.queued_bytes == 0);
  }

  Input& in_;
  const Settings settings_;
  Time now_{std::chrono::seconds(1000)};
  Scheduler scheduler_;
  std::vector<Connection> connections_;
  std::deque<Action> orders_;  // to the journal, not yet performed
  PeerId next_peer_ = 1;
  std::unordered_set<std::uint64_t> attempts_;
  std::map<Uuid, Answers> answers_;  // by session
  Answers nobody_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  Story(in).run();
  return 0;
}

// SPDX-License-Identifier: MIT
// Bytes as a sequence of events for a ClientCore: a program that keeps to the rules of
// client/core/events.hpp, a broker that sends any messages that decode, connections that break. Every task is
// completed exactly once, or the core gives up; nothing is sent without a link.
#include <map>
#include <set>

#include "client/core/client_core.hpp"
#include "common/wire/codec.hpp"
#include "tests/fuzz/draw.hpp"

using namespace weft;
using namespace weft::fuzz;
using namespace weft::client;

namespace {

constexpr int kSteps = 400;

enum class LinkState { none, opening, up };

class Story {
 public:
  explicit Story(Input& in) : in_(in), core_(settings(in), now_) {}

  void run() {
    step(Tick{});
    for (int i = 0; i < kSteps && !in_.empty() && !core_.over(); ++i) happen();
    if (!core_.over()) finish();
  }

 private:
  static ClientCore::Settings settings(Input& in) {
    ClientCore::Settings settings;
    settings.id = id_of<16>(1);
    settings.name = "client";
    settings.address = "broker";
    settings.connect_timeout = settings.give_up = std::chrono::minutes(5);
    if (in.one_in(2)) settings.window_bytes = 40;
    settings.history_max = 3;
    return settings;
  }

  void happen() {
    switch (in_.below(20)) {
      case 0:
        now_ += draw_pause(in_);
        return step(Tick{});
      case 1:
        return until_deadline();
      case 2:
        return change_link();
      case 3:
        return hear(welcome());
      case 4:
        return define();
      case 5:
      case 6:
        return submit();
      case 7:
        if (!specs_.empty() && in_.one_in(4)) {
          const std::uint32_t spec = in_.pick(specs_);
          std::erase(specs_, spec);
          step(RetireSpec{spec});
        }
        return;
      case 8:
        return step(CancelTasks{{in_.number(), 1 + in_.below(8)}});
      case 9:
        return hear(wire::Received{in_.one_in(4) ? in_.number() : submitted_});
      case 10:
      case 11:
      case 12:
        return deliver();
      case 13:
        return hear(draw_message<wire::Running>(in_));
      case 14:
        return send_chunk();
      case 15:
        return verify();
      case 16:
        if (in_.one_in(8) && link_ == LinkState::up) return step(ReceivedGarbage{"garbage", in_.one_in(8)});
        if (in_.one_in(32)) return step(Close{});
        return step(Taken{in_.below(8)});
      default:
        return hear(draw_any(in_));
    }
  }

  // ---- the program ----

  void define() {
    specs_.push_back(++spec_last_);
    const wire::TaskSpec spec = draw_spec(in_);
    if (spec.kind == wire::TaskKind::attached) attached_.insert(spec_last_);
    step(DefineSpec{spec_last_, spec});
  }
  void submit() {
    if (specs_.empty()) return define();
    Submit message;
    for (std::size_t count = 1 + in_.below(4); count > 0; --count) {
      const std::uint32_t spec = in_.pick(specs_);
      wire::Payload payload;
      draw(in_, payload);
      // The reference of an attached task is small: the program never makes a blob of it.
      if (attached_.contains(spec)) payload = wire::Payload(in_.text());
      if (payload.is_blob()) ++arguments_[payload.blob().id];
      submitted_ += 1 + in_.one_in(8);
      open_.insert(submitted_);
      message.tasks.push_back({submitted_, spec, payload});
    }
    step(message);
  }

  // ---- the broker ----

  void change_link() {
    if (link_ == LinkState::none) return;
    if (link_ == LinkState::opening && !in_.one_in(4)) {
      link_ = LinkState::up;
      return step(LinkUp{});
    }
    link_ = LinkState::none;
    step(LinkDown{"it broke"});
  }
  void hear(wire::Message message) {
    if (link_ != LinkState::up) return;
    if (std::holds_alternative<wire::Welcome>(message)) delivered_ = 0;
    const std::uint8_t minor = fuzz::draw_minor(in_, message);
    step(Received{std::move(message), minor});
  }
  wire::Welcome welcome() {
    if (in_.one_in(8)) return draw_message<wire::Welcome>(in_);
    return {kEpoch + in_.below(2), 1000, 3, in_.one_in(2), in_.below(8)};
  }
  void deliver() {
    wire::Deliver message{in_.one_in(8) ? in_.number() : delivered_ + 1, {}};
    for (std::size_t count = 1 + in_.below(3); count > 0; --count) {
      wire::DeliveryRecord record;
      draw(in_, record);
      if (!in_.one_in(4)) record.seq = 1 + in_.below(8);
      if (in_.one_in(4)) {
        wire::ErrorInfo info;
        draw(in_, info);
        record.payload = wire::Payload(wire::encode_error(info));
      }
      message.records.push_back(record);
    }
    if (message.first == delivered_ + 1) delivered_ += message.records.size();
    hear(message);
  }
  void send_chunk() {
    if (asked_.empty()) return hear(draw_message<wire::Data>(in_));
    const std::size_t which = in_.below(asked_.size());
    const wire::Get get = asked_[which];
    if (in_.one_in(4)) return hear(wire::Gone{get.id, "gone"});
    asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(which));
    hear(wire::Data{get.id, get.offset, Bytes(std::string(get.bytes, 'x'))});
  }
  void verify() {
    if (verifying_.empty()) return;
    const BlobId id = *verifying_.begin();
    verifying_.erase(id);
    const std::size_t verdict = in_.below(3);
    if (verdict == 0) return step(BlobReady{id});
    stored_.erase(id);
    step(BlobBad{id, "it arrived damaged", verdict == 2});
  }

  // ---- steps ----

  void until_deadline() {
    if (const auto due = core_.deadline()) now_ = std::max(now_, *due);
    step(Tick{});
  }

  void step(const Event& event) {
    trace([&] {
      const auto* received = std::get_if<Received>(&event);
      return std::to_string(now_.time_since_epoch().count() / 1000) + " ms: " +
             (received != nullptr ? wire::describe(received->message)
                                  : "event " + std::to_string(event.index()));
    });
    Actions actions;
    core_.step(now_, event, actions);
    core_.check_invariants();
    for (const Action& action : actions) std::visit([this](const auto& a) { perform(a); }, action);
  }

  void perform(const OpenLink&) {
    WEFT_CHECK(link_ == LinkState::none);
    link_ = LinkState::opening;
  }
  void perform(const CloseLink&) { link_ = LinkState::none; }
  void perform(const Send& send) {
    trace([&] { return "  sends " + wire::describe(send.message); });
    WEFT_CHECK(link_ == LinkState::up);
    WEFT_CHECK(wire::decode(wire::encode(send.message)));
    if (const auto* get = std::get_if<wire::Get>(&send.message)) {
      if (asked_.size() < 100) asked_.push_back(*get);
    }
  }
  void perform(const Complete& complete) {
    for (const Completion& done : complete.tasks) {
      WEFT_CHECK(open_.erase(done.seq) == 1);
      WEFT_CHECK(!done.arguments.is_blob() || arguments_[done.arguments.blob().id]-- > 0);
      if (done.outcome != wire::Outcome::ok || !done.payload.is_blob()) continue;
      const wire::BlobRef blob = done.payload.blob();
      WEFT_CHECK(stored_[blob.id] == blob.size);
      if (done.takes_blob) stored_.erase(blob.id);
    }
  }
  void perform(const MarkRunning& mark) { WEFT_CHECK(!mark.seqs.empty()); }
  void perform(const MarkJournaled& kept) { WEFT_CHECK(kept.tasks > 0 && kept.refused <= kept.tasks); }
  void perform(const CancelsSettled& settled) { WEFT_CHECK(!settled.seqs.empty()); }
  void perform(const StoreChunk& chunk) {
    stored_[chunk.id] += chunk.bytes.size();
    WEFT_CHECK(stored_[chunk.id] <= chunk.size);
  }
  void perform(const VerifyBlob& verify) { WEFT_CHECK(verifying_.insert(verify.id).second); }
  void perform(const DropBlob& drop) {
    stored_.erase(drop.id);
    verifying_.erase(drop.id);
  }
  void perform(const ReleaseArgument& release) { WEFT_CHECK(arguments_[release.id]-- > 0); }
  void perform(const ServeChunk&) { WEFT_CHECK(link_ == LinkState::up); }
  void perform(const GaveUp& gave_up) { WEFT_CHECK(!gave_up.reason.empty()); }
  void perform(const Notify& line) { WEFT_CHECK(!text_of(*line.notice).empty()); }

  /// The program cancels all open tasks, which completes them, and closes.
  void finish() {
    const std::vector<std::uint64_t> open(open_.begin(), open_.end());
    step(CancelTasks{open});
    WEFT_CHECK(open_.empty());
    step(Close{});
    WEFT_CHECK(core_.over() && !core_.deadline());
  }

  Input& in_;
  Time now_{std::chrono::seconds(1000)};
  ClientCore core_;
  LinkState link_ = LinkState::none;
  std::uint32_t spec_last_ = 0;
  std::vector<std::uint32_t> specs_;
  std::set<std::uint32_t> attached_;  // specs of kind attached
  std::uint64_t submitted_ = 0;
  std::uint64_t delivered_ = 0;
  std::set<std::uint64_t> open_;  // tasks that are not completed
  std::map<BlobId, std::uint64_t> arguments_;
  std::map<BlobId, std::uint64_t> stored_;  // bytes
  std::set<BlobId> verifying_;
  std::vector<wire::Get> asked_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Story(in).run();
  return 0;
}

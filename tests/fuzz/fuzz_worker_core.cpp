// SPDX-License-Identifier: MIT
// Bytes as a sequence of events for a WorkerCore: a broker that sends any messages that decode, runners that
// do all that runners can do, blobs that come or do not. The shell around the core is a correct one: it
// answers each action as events.hpp says, and checks that the action is possible in its state.
#include <deque>
#include <limits>
#include <map>
#include <set>

#include "common/wire/codec.hpp"
#include "tests/fuzz/draw.hpp"
#include "worker/core/worker_core.hpp"

using namespace weft;
using namespace weft::fuzz;
using namespace weft::worker;

namespace {

constexpr int kSteps = 400;
const Uuid kWorker = id_of<16>(0x80);

struct FakeRunner {
  std::uint32_t slot = 0;
  bool ready = false;
  bool ending = false;
  bool taking_back = false;  // must answer with TasksTakenBack
  std::uint64_t sent = 0;
  std::deque<std::uint64_t> channel;  // ordinals
};

/// A blob that is searched for, fetched or verified, or that is ready.
struct Search {
  std::uint64_t size = 0;
  std::uint64_t stored = 0;
  bool found_asked = true;  // FindBlob is not answered yet
  bool verifying = false;   // VerifyBlob is not answered yet
  bool ready = false;
};

enum class LinkState { none, opening, up };

class Story {
 public:
  explicit Story(Input& in)
      : in_(in), slots_(1 + static_cast<std::uint32_t>(in.below(3))), core_(settings()) {}

  void run() {
    step(Tick{});
    for (int i = 0; i < kSteps && !in_.empty() && !core_.exited(); ++i) happen();
    if (!core_.exited()) leave();
  }

 private:
  WorkerCore::Settings settings() const {
    WorkerCore::Settings settings;
    settings.hello = {kWorker, "w1", "host1", 42, slots_, "x86_64", "glibc 2.36", {}, {"f"}};
    settings.broker = "broker";
    return settings;
  }

  void happen() {
    switch (in_.below(24)) {
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
        return hear(
            wire::DefineFor{draw_uuid(in_), static_cast<std::uint32_t>(in_.below(4)), draw_spec(in_)});
      case 5:
      case 6:
      case 7:
        return assign();
      case 8:
        return hear(draw_message<wire::Revoke>(in_));
      case 9:
        return hear(revoke());
      case 10:
        return hear(wire::EndSession{draw_uuid(in_)});
      case 11:
        return hear(wire::Release{draw_uuid(in_), in_.number()});
      case 12:
      case 13:
        return get_ready_or_fail();
      case 14:
        return start_task();
      case 15:
      case 16:
        return finish_task();
      case 17:
        return die();
      case 18:
      case 19:
        return answer_blob();
      case 20:
        return send_chunk();
      case 21:
        if (in_.one_in(8)) return step(Drain{});
        if (in_.one_in(16)) return step(Stop{});
        if (in_.one_in(4)) return take_back_unstarted();
        if (in_.one_in(3)) return step(MemoryUsed{in_.below(100), 100, "its memory"});
        return break_runner();
      default:
        return hear(draw_any(in_));
    }
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
    const std::uint8_t minor = fuzz::draw_minor(in_, message);
    step(Received{std::move(message), minor});
  }
  wire::Welcome welcome() {
    if (in_.one_in(8)) return draw_message<wire::Welcome>(in_);
    return {kEpoch + in_.below(2), 1000, 3, in_.one_in(2), 0};
  }
  void assign() {
    wire::Assign message{draw_uuid(in_), {}};
    for (std::size_t count = 1 + in_.below(4); count > 0; --count) {
      wire::AssignRecord record;
      record.seq = 1 + in_.below(8);
      record.number = in_.one_in(8) ? in_.number() : ++last_attempt_;
      record.spec = static_cast<std::uint32_t>(in_.below(4));
      record.alone = in_.one_in(4);
      draw(in_, record.payload);
      given_.push_back({message.session, {record.seq, {kEpoch, record.number}}});
      message.tasks.push_back(record);
    }
    hear(message);
  }
  wire::Revoke revoke() {
    if (given_.empty()) return {};
    const auto& [session, record] = in_.pick(given_);
    return {session, in_.one_in(2) ? wire::RevokeMode::retract : wire::RevokeMode::cancel, {record}};
  }
  /// DATA for a chunk that the core has asked for.
  void send_chunk() {
    if (asked_.empty()) return hear(draw_message<wire::Data>(in_));
    const std::size_t which = in_.below(asked_.size());
    const wire::Get get = asked_[which];
    if (in_.one_in(8)) return hear(wire::Gone{get.id, "gone"});
    asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(which));
    hear(wire::Data{get.id, get.offset, Bytes(std::string(get.bytes, 'x'))});
  }

  // ---- runners ----

  std::pair<const RunnerId, FakeRunner>* any_runner() {
    if (runners_.empty()) return nullptr;
    auto it = runners_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(in_.below(runners_.size())));
    return &*it;
  }
  void get_ready_or_fail() {
    auto* chosen = any_runner();
    if (chosen == nullptr || chosen->second.ready) return;
    const RunnerId id = chosen->first;
    if (in_.one_in(6)) {
      runners_.erase(id);
      return step(RunnerFailedToStart{id, "it does not start"});
    }
    chosen->second.ready = true;
    RunnerReady ready{id, {{"f", "long(long)"}}};
    if (in_.one_in(8)) ready.functions.clear();
    step(ready);
  }
  void start_task() {
    auto* chosen = any_runner();
    if (chosen == nullptr || !chosen->second.ready) return;
    const std::uint64_t ordinal =
        in_.one_in(4) || chosen->second.channel.empty() ? in_.number() : chosen->second.channel.front();
    // The runner writes this page, so it may claim any start time up to now.
    Time at = now_ - draw_pause(in_);
    if (in_.one_in(8)) at = std::min(now_, Time(Duration(static_cast<std::int64_t>(in_.number()))));
    if (in_.one_in(16)) at = Time(Duration(std::numeric_limits<std::int64_t>::min()));
    step(TaskStarted{chosen->first, ordinal, at});
  }
  void finish_task() {
    auto* chosen = any_runner();
    if (chosen == nullptr || !chosen->second.ready || chosen->second.channel.empty()) return;
    TaskFinished done;
    done.runner = chosen->first;
    done.ordinal = in_.one_in(16) ? in_.number() : chosen->second.channel.front();
    const bool in_turn = done.ordinal == chosen->second.channel.front();
    done.outcome = in_.one_in(4) ? wire::Outcome::failed : wire::Outcome::ok;
    done.run_us = in_.number() * 500;
    done.ended_ms = 5000;
    if (in_turn && in_.one_in(3)) {
      const BlobId id = id_of<32>(in_.one_in(2) ? 0x10 + in_.below(3) : in_.below(4));
      const auto search = searches_.find(id);
      if (!results_.contains(id))
        results_[id] = search != searches_.end() && search->second.ready ? search->second.size : 70'000;
      done.payload = wire::Payload(wire::BlobRef{kWorker, id, results_[id]});
    } else {
      done.payload = wire::Payload(in_.text());
    }
    if (in_turn) chosen->second.channel.pop_front();
    step(done);
  }
  void break_runner() {
    auto* chosen = any_runner();
    if (chosen != nullptr && chosen->second.ready) step(RunnerBroken{chosen->first, "garbage"});
  }
  /// A runner gives back tasks that it has not begun; one that was not asked to may claim any number.
  void take_back_unstarted() {
    auto* chosen = any_runner();
    if (chosen == nullptr || !chosen->second.ready) return;
    FakeRunner& runner = chosen->second;
    if (!std::exchange(runner.taking_back, false)) return step(TasksTakenBack{chosen->first, in_.number()});
    for (std::size_t count = in_.below(runner.channel.size() + 1); count > 0; --count) {
      runner.channel.pop_back();
      --runner.sent;
    }
    step(TasksTakenBack{chosen->first, runner.sent});
  }
  void die() {
    auto* chosen = any_runner();
    if (chosen == nullptr) return;
    const auto [id, runner] = *chosen;
    runners_.erase(id);
    if (!runner.ready) return step(RunnerFailedToStart{id, "it was killed"});
    RunnerDied died;
    died.runner = id;
    died.started = in_.one_in(2) || runner.channel.empty() ? in_.number() : runner.channel.front();
    died.signal = static_cast<std::int32_t>(in_.below(70));
    died.ended_ms = 5000;
    step(died);
  }

  // ---- blobs ----

  void answer_blob() {
    std::vector<BlobId> waiting;
    for (const auto& [id, search] : searches_) {
      if (search.found_asked || search.verifying) waiting.push_back(id);
    }
    if (waiting.empty()) return;
    const BlobId id = in_.pick(waiting);
    Search& search = searches_.at(id);
    const bool was_find = std::exchange(search.found_asked, false);
    search.verifying = false;
    switch (in_.below(8)) {
      case 0:
        searches_.erase(id);
        return step(BlobBad{id, "its hash is another"});
      case 1:
      case 2:
        if (was_find) {
          search.ready = true;
          return step(BlobReady{id});
        }
        [[fallthrough]];
      default:
        if (was_find) return step(BlobMissing{id});
        search.ready = true;
        step(BlobReady{id});
    }
  }

  // ---- steps ----

  void until_deadline() {
    if (const auto due = core_.deadline()) now_ = std::max(now_, *due);
    step(Tick{});
  }

  void step(const Event& event) {
    trace([&] { return std::to_string(now_.time_since_epoch().count() / 1000) + " ms: " + describe(event); });
    Actions actions;
    core_.step(now_, event, actions);
    core_.check_invariants();
    for (const Action& action : actions) {
      WEFT_CHECK(!exit_seen_);
      trace([&] { return "  " + describe(action); });
      std::visit([this](const auto& a) { perform(a); }, action);
    }
  }

  void perform(const OpenLink&) {
    WEFT_CHECK(link_ == LinkState::none);
    link_ = LinkState::opening;
  }
  void perform(const CloseLink&) { link_ = LinkState::none; }
  void perform(const Send& send) {
    WEFT_CHECK(link_ == LinkState::up);
    WEFT_CHECK(wire::decode(wire::encode(*send.message)));
    if (const auto* get = std::get_if<wire::Get>(&*send.message)) {
      if (asked_.size() < 100) asked_.push_back(*get);
    }
  }
  void perform(const StartRunner& start) {
    WEFT_CHECK(start.slot < slots_);
    for (const auto& [id, runner] : runners_) WEFT_CHECK(runner.slot != start.slot);
    const bool added =
        runners_.try_emplace(start.runner, FakeRunner{.slot = start.slot, .channel = {}}).second;
    WEFT_CHECK(added);
  }
  void perform(const RunTask& run) {
    FakeRunner& runner = runners_.at(run.runner);
    WEFT_CHECK(runner.ready && !runner.ending && !runner.taking_back);
    WEFT_CHECK(run.ordinal == ++runner.sent);
    runner.channel.push_back(run.ordinal);
    if (run.payload.is_blob()) WEFT_CHECK(searches_.at(run.payload.blob().id).ready);
  }
  void perform(const RequestStop& stop) {
    WEFT_CHECK(runners_.at(stop.runner).channel.front() == stop.ordinal);
  }
  void perform(const TakeBackTasks& take_back) {
    FakeRunner& runner = runners_.at(take_back.runner);
    WEFT_CHECK(runner.ready && !runner.taking_back && runner.channel.size() > 1);
    runner.taking_back = true;
  }
  void perform(const EndRunner& end) {
    FakeRunner& runner = runners_.at(end.runner);
    WEFT_CHECK(runner.channel.empty());
    runner.ending = true;
  }
  void perform(const KillRunner& kill) { WEFT_CHECK(runners_.contains(kill.runner)); }
  void perform(const FindBlob& find) {
    Search& search = searches_[find.id];
    WEFT_CHECK(!search.ready || results_.contains(find.id));
    search = {.size = find.size};
  }
  void perform(const StoreChunk& chunk) {
    Search& search = searches_.at(chunk.id);
    WEFT_CHECK(!search.ready && !search.found_asked && !search.verifying);
    search.stored += chunk.bytes.size();
    WEFT_CHECK(search.stored <= search.size);
  }
  void perform(const VerifyBlob& verify) {
    Search& search = searches_.at(verify.id);
    WEFT_CHECK(search.stored == search.size && !search.ready);
    search.verifying = true;
  }
  void perform(const ServeChunk& serve) {
    WEFT_CHECK(link_ == LinkState::up);
    WEFT_CHECK(serve.get.offset + serve.get.bytes <= results_.at(serve.get.id));
  }
  void perform(const DropBlob& drop) {
    const bool was_search = searches_.erase(drop.id) > 0;
    const bool was_result = results_.erase(drop.id) > 0;
    WEFT_CHECK(was_search || was_result);
  }
  void perform(const Notify& line) { WEFT_CHECK(!text_of(*line.notice).empty()); }
  void perform(const Exit&) { exit_seen_ = true; }

  /// Drained, with runners that die when they are killed and a broker that does not come back, the core must
  /// exit.
  void leave() {
    step(Drain{});
    for (int i = 0; i < 1000 && !core_.exited(); ++i) {
      if (link_ != LinkState::none) {
        link_ = LinkState::none;
        step(LinkDown{"it broke"});
      }
      while (!runners_.empty() && !core_.exited()) {
        const auto [id, runner] = *runners_.begin();
        runners_.erase(id);
        if (runner.ready) {
          step(RunnerDied{id, UINT64_MAX, 9, 0, "", "", 5000});
        } else {
          step(RunnerFailedToStart{id, "it was killed"});
        }
      }
      until_deadline();
    }
    WEFT_CHECK(core_.exited());
  }

  Input& in_;
  std::uint32_t slots_;
  Time now_{std::chrono::seconds(1000)};
  WorkerCore core_;
  LinkState link_ = LinkState::none;
  std::uint64_t last_attempt_ = 100;
  std::vector<std::pair<Uuid, wire::AttemptRecord>> given_;
  std::vector<wire::Get> asked_;
  std::map<RunnerId, FakeRunner> runners_;
  std::map<BlobId, Search> searches_;
  std::map<BlobId, std::uint64_t> results_;
  bool exit_seen_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Story(in).run();
  return 0;
}

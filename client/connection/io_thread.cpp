// SPDX-License-Identifier: MIT
#include "client/connection/io_thread.hpp"

#include "client/connection/futex.hpp"
#include "client/connection/program.hpp"
#include "client/core/failure.hpp"
#include "common/base/check.hpp"
#include "common/system/fd.hpp"
#include "common/system/standard_files.hpp"

namespace weft::detail {

namespace {
constexpr int kFramesPerTurn = 64;  // then acknowledge and send before more frames are received
constexpr std::chrono::milliseconds kLinger(300);  // how long the closed link may take to send GOODBYE

std::unique_ptr<Failure> make_failure(wire::Outcome outcome, bool connection) {
  auto failure = std::make_unique<Failure>();
  failure->outcome = outcome;
  failure->connection = connection;
  return failure;
}
}  // namespace

IoThread::IoThread(client::ClientCore::Settings settings, std::shared_ptr<Inbox> inbox, Greeted greeted)
    : address_(settings.address),
      inbox_(std::move(inbox)),
      greeted_(std::move(greeted)),
      link_(context_),
      turn_(now()),
      core_(std::move(settings), turn_) {}

Time IoThread::now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

void IoThread::run() {
  client::LoopLease::Lock lock = inbox_->lease.begin(*this);
  step(client::Tick{});
  perform();
  while (!core_.over()) {
    poll_once(std::nullopt);
    if (std::exchange(answered_awaited_, false) && core_.joined() && !busy())
      inbox_->lease.yield(lock, [this] { return inbox_->has_news(); });
  }
  inbox_->lease.end(std::move(lock));
  greet("this weft::Client was destroyed");
  finish_all("");
}

void IoThread::poll_once(const client::LoopLease::Deadline& until) noexcept {
  poll(until);
  receive();
  step(client::Tick{});
  perform();
  flush();
  if (core_.ever_joined()) greet("");
}

bool IoThread::busy() const { return core_.open_tasks() > 0 || refused_ || !verified_.empty(); }

/// Does not poll at all if `until` has passed.
void IoThread::poll(const client::LoopLease::Deadline& until) {
  const auto left = until ? *until - std::chrono::steady_clock::now() : std::chrono::hours(1);
  if (left <= left.zero()) return;
  polled_.assign({{inbox_->wake_fd(), POLLIN, 0}});
  link_.watch(polled_);
  auto wait = std::chrono::milliseconds(1000);
  if (const auto due = core_.deadline()) {
    wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(Duration(0), *due - now()));
  }
  wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(left));
  if (!verified_.empty() || !link_.quiet()) wait = std::chrono::milliseconds(0);
  poll_for(polled_, wait);
  link_.notice(polled_);
  if (polled_[0].revents != 0) inbox_->clear_wake();
}

void IoThread::receive() {
  turn_ = now();
  take_inbox();
  receive_frames();
  for (client::Event& event : std::exchange(verified_, {})) step(event);
}

void IoThread::take_inbox() {
  std::uint64_t first = 0;
  inbox_->take(taken_events_, opened_, first);
  for (IntrusivePtr<FutureState>& state : opened_) futures_.emplace(first++, std::move(state));
  opened_.clear();
  for (client::Event& event : taken_events_) step(event);
  taken_events_.clear();
}

void IoThread::receive_frames() {
  for (int i = 0; i < kFramesPerTurn; ++i) {
    std::optional<Link::Event> event = link_.next();
    if (!event) return;
    if (std::holds_alternative<Link::Up>(*event)) {
      step(client::LinkUp{});
    } else if (auto* down = std::get_if<Link::Down>(&*event)) {
      packer_ = {};
      refused_.reset();
      step(client::LinkDown{std::move(down->reason)});
    } else {
      receive_frame(std::get<zmq::message_t>(*event));
    }
  }
}

void IoThread::receive_frame(const zmq::message_t& frame) {
  const std::string_view text(frame.data<char>(), frame.size());
  if (auto mismatch = wire::version_mismatch(text)) {
    step(client::ReceivedGarbage{*mismatch, true});
    return;
  }
  Result<wire::Message> message = wire::decode(text);
  if (message) {
    step(client::Received{std::move(*message), wire::minor_of(text)});
  } else {
    step(client::ReceivedGarbage{message.fault(), false});
  }
}

void IoThread::step(const client::Event& event) { core_.step(turn_, event, actions_); }

void IoThread::perform() {
  client::Actions actions = std::exchange(actions_, {});
  for (client::Action& action : actions) {
    std::visit([this](auto& a) { perform(a); }, action);
  }
  actions.clear();
  if (actions_.empty()) actions_ = std::move(actions);  // reuses its memory
  wake_waiters();
}

/// Wakes waiting threads after all received frames have been processed (coalescing of wake-ups). A thread
/// that takes one result after the other then finds several; woken earlier, the thread would take the
/// processor from this one, find one result, and sleep again.
void IoThread::wake_waiters() {
  for (const IntrusivePtr<FutureState>& state : awaited_) state->wake();
  answered_awaited_ = !awaited_.empty();
  awaited_.clear();
  if (std::exchange(finished_, false)) client::AnyFinished::instance().announce();
}

void IoThread::flush() {
  while (refused_ || (refused_ = packer_.take())) {
    if (!link_.send(*refused_)) break;
    refused_.reset();
  }
}

// ---- actions ----

void IoThread::perform(const client::OpenLink&) {
  packer_ = {};
  refused_.reset();
  link_.open(address_);
}

void IoThread::perform(const client::CloseLink&) {
  if (core_.over()) flush();  // GOODBYE
  packer_ = {};
  refused_.reset();
  link_.close(core_.over() ? kLinger : std::chrono::milliseconds(0));
}

void IoThread::perform(client::Send& action) { packer_.add(action.message); }

void IoThread::perform(client::Complete& action) {
  for (client::Completion& completion : action.tasks) {
    IntrusivePtr<FutureState>* state = futures_.find(completion.seq);
    WEFT_CHECK(state != nullptr);
    finish(*state, completion);
    futures_.erase(completion.seq);
  }
}

void IoThread::finish(IntrusivePtr<FutureState>& state, client::Completion& completion) {
  std::string bytes;
  if (completion.payload.is_blob()) {
    bytes = results_.take(completion.payload.blob().id, completion.takes_blob);
  } else {
    bytes = completion.payload.inline_bytes();
  }
  std::unique_ptr<Failure> failure;
  if (completion.outcome != wire::Outcome::ok) {
    failure = make_failure(completion.outcome, false);
    failure->attempts = completion.attempts;
    failure->history = std::move(completion.history);
    failure->arguments = std::move(completion.arguments);
    failure->inbox = inbox_;
  }
  end(state, std::move(bytes), std::move(failure));
}

/// Finishes a future; threads that wait for it are woken by wake_waiters().
void IoThread::end(IntrusivePtr<FutureState>& state, std::string bytes, std::unique_ptr<Failure> failure) {
  finished_ = true;
  if (state->finish(std::move(bytes), std::move(failure))) awaited_.push_back(std::move(state));
}

void IoThread::perform(const client::MarkRunning& action) {
  for (const std::uint64_t seq : action.seqs) {
    if (IntrusivePtr<FutureState>* state = futures_.find(seq)) (*state)->mark_running(action.running);
  }
}

void IoThread::perform(const client::MarkJournaled& action) { inbox_->mark_journaled(action); }
void IoThread::perform(const client::CancelsSettled& action) { inbox_->mark_settled(action); }
void IoThread::perform(const StoreChunk& action) { results_.store(action); }
void IoThread::perform(const VerifyBlob& action) { verified_.push_back(results_.verify(action.id)); }

void IoThread::perform(const ServeChunk& action) {
  const wire::Get& get = action.get;
  std::optional<Bytes> bytes = inbox_->arguments.read(get.id, get.offset, get.bytes);
  std::string reason = "the client does not have these bytes";
  try {
    if (!bytes) bytes = client::Program::current().read(get.id, get.offset, get.bytes);
  } catch (const Error& error) {
    reason = error.what();
  }
  if (bytes) {
    packer_.add(wire::Data{.id = get.id, .offset = get.offset, .bytes = std::move(*bytes)});
  } else {
    packer_.add(wire::Gone{.id = get.id, .reason = std::move(reason)});
  }
}

void IoThread::perform(const DropBlob& action) { results_.drop(action.id); }
void IoThread::perform(const client::ReleaseArgument& action) { inbox_->arguments.release(action.id); }

void IoThread::perform(const client::GaveUp& action) {
  inbox_->close(action.reason);
  greet(action.reason);
  finish_all(action.reason);
}

void IoThread::perform(const client::Notify& action) {
  if (level_of(*action.notice) != NoticeLevel::info) report_line("weft: " + text_of(*action.notice));
}

/// Finishes all open futures: with ConnectionError and `reason`, or as cancelled if `reason` is "".
void IoThread::finish_all(const std::string& reason) {
  inbox_->close(reason);
  std::uint64_t first = 0;
  inbox_->take(taken_events_, opened_, first);  // tasks submitted before the inbox was closed
  for (IntrusivePtr<FutureState>& state : opened_) futures_.emplace(first++, std::move(state));
  opened_.clear();
  taken_events_.clear();
  const bool connection = !reason.empty();
  std::string text = reason;
  if (!connection) text = wire::encode_error({.message = "its weft::Client was destroyed"});
  futures_.for_each([&](std::uint64_t, IntrusivePtr<FutureState>& state) {
    end(state, text, make_failure(wire::Outcome::cancelled, connection));
  });
  futures_.clear();
  wake_waiters();
}

void IoThread::greet(const std::string& reason) {
  if (greeted_) std::exchange(greeted_, nullptr)(reason);
}

}  // namespace weft::detail

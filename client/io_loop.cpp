// SPDX-License-Identifier: MIT
#include "client/io_loop.hpp"

#include "client/failure.hpp"
#include "client/futex.hpp"
#include "client/program.hpp"
#include "common/check.hpp"
#include "common/fd.hpp"
#include "common/standard_files.hpp"

namespace weft::detail {

namespace {
constexpr int kFramesPerTurn = 64;                 // after that, acknowledge and send
constexpr std::chrono::milliseconds kLinger(300);  // for GOODBYE

std::unique_ptr<Failure> make_failure(wire::Outcome outcome, bool connection) {
  auto failure = std::make_unique<Failure>();
  failure->outcome = outcome;
  failure->connection = connection;
  return failure;
}
}  // namespace

IoLoop::IoLoop(client::Session::Settings settings, std::shared_ptr<Hub> hub, Greeted greeted)
    : address_(settings.address),
      hub_(std::move(hub)),
      greeted_(std::move(greeted)),
      link_(context_),
      turn_(now()),
      session_(std::move(settings), turn_) {}

Time IoLoop::now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

void IoLoop::run() {
  client::LoopLease::Lock lock = hub_->lease.begin(*this);
  step(client::Tick{});
  perform();
  while (!session_.over()) {
    poll_once(std::nullopt);
    if (std::exchange(answered_awaited_, false) && session_.joined() && !busy())
      hub_->lease.yield(lock, [this] { return hub_->has_news(); });
  }
  hub_->lease.end(std::move(lock));
  greet("this weft::Client was destroyed");
  finish_all("");
}

void IoLoop::poll_once(const client::LoopLease::Deadline& until) noexcept {
  poll(until);
  turn_ = now();
  take_inbox();
  take_frames();
  for (client::Event& event : std::exchange(verified_, {})) step(event);
  step(client::Tick{});
  perform();
  flush();
  if (session_.ever_joined()) greet("");
}

bool IoLoop::busy() const { return session_.open_tasks() > 0 || refused_ || !verified_.empty(); }

/// Does not poll at all if `until` has passed.
void IoLoop::poll(const client::LoopLease::Deadline& until) {
  const auto left = until ? *until - std::chrono::steady_clock::now() : std::chrono::hours(1);
  if (left <= left.zero()) return;
  polled_.assign({{hub_->wake_fd(), POLLIN, 0}});
  link_.watch(polled_);
  auto wait = std::chrono::milliseconds(1000);
  if (const auto due = session_.deadline()) {
    wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(Duration(0), *due - now()));
  }
  wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(left));
  if (!verified_.empty() || !link_.quiet()) wait = std::chrono::milliseconds(0);
  poll_for(polled_, wait);
  link_.notice(polled_);
  if (polled_[0].revents != 0) hub_->clear_wake();
}

void IoLoop::take_inbox() {
  std::uint64_t first = 0;
  hub_->take(inbox_, opened_, first);
  for (Ref<FutureState>& state : opened_) futures_.emplace(first++, std::move(state));
  opened_.clear();
  for (client::Event& event : inbox_) step(event);
  inbox_.clear();
}

void IoLoop::take_frames() {
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
      take_frame(std::get<zmq::message_t>(*event));
    }
  }
}

void IoLoop::take_frame(const zmq::message_t& frame) {
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

void IoLoop::step(const client::Event& event) { session_.step(turn_, event, actions_); }

void IoLoop::perform() {
  client::Actions actions = std::exchange(actions_, {});
  for (client::Action& action : actions) {
    std::visit([this](auto& a) { perform(a); }, action);
  }
  actions.clear();
  if (actions_.empty()) actions_ = std::move(actions);  // reuses its memory
  wake_waiters();
}

/// Wakes waiting threads after everything received has been processed. A thread that takes one result after
/// the other then finds several; woken earlier, it would take the processor from this thread, find one, and
/// sleep again.
void IoLoop::wake_waiters() {
  for (const Ref<FutureState>& state : awaited_) state->wake();
  answered_awaited_ = !awaited_.empty();
  awaited_.clear();
  if (std::exchange(finished_, false)) client::AnyFinished::instance().announce();
}

void IoLoop::flush() {
  while (refused_ || (refused_ = packer_.take())) {
    if (!link_.send(*refused_)) break;
    refused_.reset();
  }
}

// ---- actions ----

void IoLoop::perform(const client::OpenLink&) {
  packer_ = {};
  refused_.reset();
  link_.open(address_);
}

void IoLoop::perform(const client::CloseLink&) {
  if (session_.over()) flush();  // GOODBYE
  packer_ = {};
  refused_.reset();
  link_.close(session_.over() ? kLinger : std::chrono::milliseconds(0));
}

void IoLoop::perform(client::Send& action) { packer_.add(action.message); }

void IoLoop::perform(client::Complete& action) {
  for (client::Completion& completion : action.tasks) {
    Ref<FutureState>* state = futures_.find(completion.seq);
    WEFT_CHECK(state != nullptr);
    finish(*state, completion);
    futures_.erase(completion.seq);
  }
}

void IoLoop::finish(Ref<FutureState>& state, client::Completion& completion) {
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
    failure->hub = hub_;
  }
  end(state, std::move(bytes), std::move(failure));
}

/// Finishes a future; threads that wait for it are woken by wake_waiters().
void IoLoop::end(Ref<FutureState>& state, std::string bytes, std::unique_ptr<Failure> failure) {
  finished_ = true;
  if (state->finish(std::move(bytes), std::move(failure))) awaited_.push_back(std::move(state));
}

void IoLoop::perform(const client::MarkRunning& action) {
  for (const std::uint64_t seq : action.seqs) {
    if (Ref<FutureState>* state = futures_.find(seq)) (*state)->mark_running(action.running);
  }
}

void IoLoop::perform(const client::MarkKept& action) { hub_->mark_kept(action); }
void IoLoop::perform(const client::CancelsSettled& action) { hub_->mark_settled(action); }
void IoLoop::perform(const client::StoreChunk& action) { results_.store(action); }
void IoLoop::perform(const client::VerifyBlob& action) { verified_.push_back(results_.verify(action.id)); }
void IoLoop::perform(const client::DropBlob& action) { results_.drop(action.id); }
void IoLoop::perform(const client::ReleaseArgument& action) { hub_->arguments.release(action.id); }

void IoLoop::perform(const client::ServeChunk& action) {
  const wire::Get& get = action.get;
  std::optional<Bytes> bytes = hub_->arguments.read(get.id, get.offset, get.bytes);
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

void IoLoop::perform(const client::GaveUp& action) {
  hub_->close(action.reason);
  greet(action.reason);
  finish_all(action.reason);
}

void IoLoop::perform(const client::Log& action) {
  if (action.level == client::Log::Level::warning) report_line("weft: " + action.text);
}

/// Finishes all open futures: with ConnectionError and `reason`, or as cancelled if `reason` is "".
void IoLoop::finish_all(const std::string& reason) {
  hub_->close(reason);
  std::uint64_t first = 0;
  hub_->take(inbox_, opened_, first);  // tasks submitted before the hub was closed
  for (Ref<FutureState>& state : opened_) futures_.emplace(first++, std::move(state));
  opened_.clear();
  inbox_.clear();
  const bool connection = !reason.empty();
  std::string text = reason;
  if (!connection) text = wire::encode_error({.message = "its weft::Client was destroyed"});
  futures_.for_each([&](std::uint64_t, Ref<FutureState>& state) {
    end(state, text, make_failure(wire::Outcome::cancelled, connection));
  });
  futures_.clear();
  wake_waiters();
}

void IoLoop::greet(const std::string& reason) {
  if (greeted_) std::exchange(greeted_, nullptr)(reason);
}

}  // namespace weft::detail

// SPDX-License-Identifier: MIT
#include "worker/worker.hpp"

#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <time.h>

#include <algorithm>
#include <csignal>

#include "common/net/notice_log.hpp"
#include "common/system/crash_point.hpp"

namespace weft::worker {

namespace {

enum { kSignals, kServer, kRunners };  // in Worker::polled_

constexpr int kFramesATurn = 1000;
constexpr int kChunksATurn = 4;
// for blobs that wait for another worker on this host to fetch them, or for a descriptor
constexpr auto kRetryInterval = std::chrono::milliseconds(50);
constexpr Duration kMemoryInterval = std::chrono::seconds(1);
constexpr auto kLastWords = std::chrono::milliseconds(1000);  // for sending queued messages when leaving

/// CLOCK_MONOTONIC, as in the runners' pages.
Time now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Time(std::chrono::duration_cast<Duration>(std::chrono::seconds(t.tv_sec) +
                                                   std::chrono::nanoseconds(t.tv_nsec)));
}

RunnerPool::Settings in_directory(RunnerPool::Settings settings, const std::string& directory) {
  settings.launcher.directory = directory;
  return settings;
}

Fd stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return checked(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd");
}

}  // namespace

Worker::Worker(Settings settings, ForkServer& server)
    : broker_(settings.session.broker),
      server_(server),
      cache_(settings.cache_directory),
      blobs_(cache_, settings.blob_files_max),
      runners_(in_directory(std::move(settings.runners), cache_.run_directory()), server, blobs_),
      memory_(settings.memory),
      core_(std::move(settings.session)),
      signals_(stop_signals()),
      link_(context_) {}

int Worker::run() {
  read_memory();
  deliver(Tick{});
  step();
  flush();
  while (!exit_code_) poll_once();
  leave();
  return *exit_code_;
}

void Worker::poll_once() {
  poll();
  receive();
  deliver(Tick{});
  step();
  flush();
}

/// Waits for messages, runners, signals or the deadline.
void Worker::poll() {
  polled_.assign({{signals_.get(), POLLIN, 0}, {server_.fd(), POLLIN, 0}, {runners_.fd(), POLLIN, 0}});
  link_.watch(polled_);
  const bool bulk_waits = frames_.empty() && !bulk_.empty();  // the link takes more: chunks can be sent now
  const bool quiet = runners_.sleep() && link_.quiet() && !bulk_waits;
  const std::chrono::milliseconds wait(quiet ? timeout_ms() : 0);
  waited_ = poll_for(polled_, wait) == 0 && quiet;
  link_.notice(polled_);
}

/// Turns everything that has happened into events.
void Worker::receive() {
  if (polled_[kServer].revents != 0) {
    throw std::runtime_error("its fork server was killed; without it no runner can be started");
  }
  if (polled_[kSignals].revents != 0) read_signals();
  receive_frames();
  const Time current = now();
  runners_.collect(current, waited_, polled_[kRunners].revents != 0, events_);
  if (current >= memory_due_) read_memory();
  if (blobs_.waits_for_others()) {
    for (Event& event : blobs_.retry()) deliver(std::move(event));
  }
}

int Worker::timeout_ms() const {
  std::optional<Time> due = earlier(core_.deadline(), runners_.deadline());
  due = earlier(due, memory_due_);
  const Time current = now();
  if (blobs_.waits_for_others()) due = earlier(due, current + kRetryInterval);
  const Duration wait =
      std::clamp(due.value_or(current) - current, Duration(0), Duration(std::chrono::seconds(60)));
  return static_cast<int>((wait.count() + 999) / 1000);
}

void Worker::read_memory() {
  deliver(memory_.read(memory_.counts_blobs() ? blobs_.bytes() : 0));
  memory_due_ = now() + kMemoryInterval;
}

void Worker::read_signals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    spdlog::info("received signal {}", info.ssi_signo);
    deliver(std::exchange(draining_, true) ? Event(Stop{}) : Event(Drain{}));
  }
}

void Worker::receive_frames() {
  for (int count = 0; count < kFramesATurn; ++count) {
    auto event = link_.next();
    if (!event) return;
    if (std::holds_alternative<Link::Up>(*event)) {
      spdlog::debug("connected to {}, saying HELLO", broker_);
      deliver(LinkUp{});
    } else if (auto* down = std::get_if<Link::Down>(&*event)) {
      perform(CloseLink{});
      deliver(LinkDown{std::move(down->reason)});
    } else {
      crash_point("worker.received");
      const std::string_view frame = std::get<zmq::message_t>(*event).to_string_view();
      if (auto message = wire::decode(frame)) {
        deliver(Received{std::move(*message), wire::minor_of(frame)});
      } else if (auto mismatch = wire::version_mismatch(frame)) {
        deliver(Received{wire::Refuse{wire::RefuseCode::version, *mismatch}});
      } else {
        perform(CloseLink{});
        deliver(LinkDown{"the broker sent a malformed message: " + message.fault()});
        return;
      }
    }
  }
}

void Worker::deliver(Event event) { events_.push_back(std::move(event)); }

/// Steps events and performs actions until no event is left: performing an action may produce one.
/// Coalescing: events that arrived together are stepped together, so that their messages share frames.
void Worker::step() {
  while (!events_.empty()) {
    in_hand_.swap(events_);
    core_.step(now(), in_hand_, actions_);
    crash_point("worker.stepped");
    in_hand_.clear();
    for (const Action& action : actions_) std::visit([this](const auto& a) { perform(a); }, action);
    actions_.clear();
  }
}

// ---- the link ----

void Worker::flush() {
  while (auto frame = packer_.take()) frames_.push_back(std::move(*frame));
  const bool sends = !frames_.empty();
  while (!frames_.empty() && link_.send(frames_.front())) frames_.pop_front();
  if (frames_.empty()) send_bulk();
  if (sends) crash_point("worker.sent");
}

/// Sends chunks of results, a few in each turn, so that heartbeats and small results are not starved.
void Worker::send_bulk() {
  for (int count = 0; count < kChunksATurn && !bulk_.empty(); ++count) {
    const wire::Get get = bulk_.front().get;
    bulk_.pop_front();
    const std::string bytes = blobs_.read(get.id, get.offset, get.bytes);
    std::string frame = bytes.empty() ? wire::encode(wire::Gone{get.id, "the worker can no longer read it"})
                                      : wire::encode(wire::Data{get.id, get.offset, Bytes(bytes)});
    if (link_.send(frame)) continue;
    frames_.push_back(std::move(frame));
    return;
  }
}

void Worker::perform(const OpenLink&) { link_.open(broker_); }

void Worker::perform(const CloseLink&) {
  link_.close();
  packer_ = {};
  frames_.clear();
  bulk_.clear();
}

void Worker::perform(const Send& action) { packer_.add(*action.message); }

// ---- runners and blobs ----

void Worker::perform(const StartRunner& action) { runners_.start(action, events_); }
void Worker::perform(const RunTask& action) { runners_.run(action); }
void Worker::perform(const RequestStop& action) { runners_.request_stop(action); }
void Worker::perform(const TakeBackTasks& action) { deliver(runners_.take_back_unstarted(action)); }
void Worker::perform(const EndRunner& action) { runners_.end(action); }
void Worker::perform(const KillRunner& action) { runners_.kill(action); }

void Worker::perform(const FindBlob& action) {
  if (auto event = blobs_.find(action)) deliver(std::move(*event));
}
void Worker::perform(const StoreChunk& action) {
  if (auto event = blobs_.store(action)) deliver(std::move(*event));
}
void Worker::perform(const VerifyBlob& action) { deliver(blobs_.verify(action.id)); }
void Worker::perform(const ServeChunk& action) { bulk_.push_back(action); }
void Worker::perform(const DropBlob& action) { blobs_.drop(action.id); }

// ---- the rest ----

void Worker::perform(const Notify& action) { log_notice(*action.notice); }

void Worker::perform(const Exit& action) { exit_code_ = action.code; }

void Worker::leave() {
  runners_.clear();
  const Time end = now() + kLastWords;
  for (flush(); !frames_.empty() && now() < end; flush()) {
    while (link_.next()) {  // messages are ignored now
    }
    polled_.clear();
    link_.watch(polled_);
    if (polled_.empty()) break;
    poll_for(polled_, std::chrono::milliseconds(link_.quiet() ? 10 : 0));
    link_.notice(polled_);
  }
  link_.close(kLastWords);
}

}  // namespace weft::worker

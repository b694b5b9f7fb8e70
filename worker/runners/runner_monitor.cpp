// SPDX-License-Identifier: MIT
#include "worker/runners/runner_monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "common/base/check.hpp"
#include "common/base/quantity.hpp"
#include "worker/core/exit_text.hpp"

namespace weft::worker {

// ---- performed actions ----

void RunnerMonitor::on_run(std::uint64_t ordinal, const TaskId& id) {
  if (tasks_.empty()) tail_.clear();
  tasks_.emplace_back(ordinal, id);
}

void RunnerMonitor::on_taken_back(std::uint64_t started) {
  while (!tasks_.empty() && tasks_.back().first > started) tasks_.pop_back();
}

// ---- a check ----

void RunnerMonitor::begin_check() {
  checked_ = std::exchange(readable_, std::uint8_t{0});
  channel_empty_ = unreadable_;
  messages_ = 0;
  stage_ = Stage::death;
}

RunnerMonitor::Step RunnerMonitor::next_step() {
  switch (stage_) {
    case Stage::death:
      stage_ = Stage::socket;
      if (is_readable(RunnerSource::line)) return Step::read_death;
      [[fallthrough]];
    case Stage::socket:
      stage_ = Stage::output;
      if (is_readable(RunnerSource::socket)) return Step::read_socket;
      [[fallthrough]];
    case Stage::output:
      stage_ = Stage::channel;
      if (const Step step = output_step(); step != Step::none) return step;
      [[fallthrough]];
    case Stage::channel:
      if (const Step step = channel_step(); step != Step::none) return step;
      [[fallthrough]];
    case Stage::page:
      stage_ = Stage::reap;
      if (awaits_start()) return Step::read_page;
      [[fallthrough]];
    case Stage::reap:
      stage_ = Stage::none;
      if (death_) return Step::reap;
      [[fallthrough]];
    case Stage::none:
      break;
  }
  return Step::none;
}

RunnerMonitor::Step RunnerMonitor::output_step() const {
  if (death_) return Step::read_all_output;
  // Output of the previous check is logged first.
  return is_readable(RunnerSource::output) && !has_output_ ? Step::read_output : Step::none;
}

RunnerMonitor::Step RunnerMonitor::channel_step() {
  if (!channel_empty_ && messages_ < kMessagesACheck) {
    ++messages_;
    return Step::read_message;
  }
  stage_ = Stage::page;
  return channel_empty_ && (death_ || has_output_) ? Step::log_output : Step::none;
}

RunnerMonitor::Use RunnerMonitor::on_message(runner::Message& message, std::vector<Event>& events) {
  if (ready_ && std::holds_alternative<runner::TaskDone>(message)) return Use::result;
  if (std::holds_alternative<runner::TaskPrinted>(message)) return Use::log_output;
  if (auto* hello = std::get_if<runner::RunnerHello>(&message); hello && !ready_) {
    return on_hello(*hello, events);
  }
  broken("its runner sent a message out of turn", events);
  return Use::none;
}

RunnerMonitor::Use RunnerMonitor::on_hello(runner::RunnerHello& hello, std::vector<Event>& events) {
  std::move(hello.functions.begin(), hello.functions.end(), std::back_inserter(functions_));
  if (functions_.size() < hello.total) return Use::none;
  ready_ = true;
  tail_.clear();
  events.push_back(RunnerReady{id(), std::exchange(functions_, {})});
  return Use::ready;
}

void RunnerMonitor::on_garbage(const std::string& reason, std::vector<Event>& events) {
  unreadable_ = channel_empty_ = true;
  broken("its runner sent a malformed message: " + reason, events);
}

bool RunnerMonitor::accepts(const runner::TaskDone& done, bool right_size, std::vector<Event>& events) {
  const bool large = done.large_bytes > 0;
  const bool right_outcome =
      done.outcome == wire::Outcome::ok || (done.outcome == wire::Outcome::failed && !large);
  if (right_size && right_outcome && !done.payload.is_blob()) return true;
  broken("its runner sent an invalid answer", events);
  return false;
}

void RunnerMonitor::on_result(const runner::TaskDone& done, wire::Payload&& payload, std::int64_t now_ms,
                              std::vector<Event>& events) {
  if (!tasks_.empty()) tasks_.pop_front();
  tail_.clear();
  events.emplace_back(std::in_place_type<TaskFinished>, id(), done.ordinal, done.outcome, done.run_us,
                      std::move(payload), now_ms);
}

void RunnerMonitor::on_unreadable_result(std::string_view why, std::vector<Event>& events) {
  broken(fmt::format("its result cannot be read: {}", why), events);
}

void RunnerMonitor::on_page(std::uint64_t started, Time at, Time now, std::vector<Event>& events) {
  const std::uint64_t front = tasks_.front().first;
  if (started != front) return;
  last_started_ = front;
  events.push_back(TaskStarted{id(), front, std::min(at, now)});
}

// ---- output ----

std::string RunnerMonitor::running_task(std::uint64_t started) const {
  const bool has_begun = !tasks_.empty() && started >= tasks_.front().first;
  return has_begun ? front_task() : "-";
}

// ---- memory and the end ----

void RunnerMonitor::on_memory(std::uint64_t bytes, std::vector<Event>& events) {
  if (bytes > *settings_.memory_limit) broken(over_limit(bytes), events);
}

std::string RunnerMonitor::over_limit(std::uint64_t peak) const {
  return fmt::format("memory limit of {} exceeded: peak {}", format_bytes(*settings_.memory_limit),
                     format_bytes(peak));
}

void RunnerMonitor::broken(std::string text, std::vector<Event>& events) {
  if (std::exchange(broken_, true)) return;
  events.push_back(RunnerBroken{id(), std::move(text)});
}

bool RunnerMonitor::lacks_static_tls() const {
  return !ready_ && tail_.text().find("static TLS block") != std::string::npos;
}

Event RunnerMonitor::end_of_life(std::uint64_t started, std::optional<std::uint64_t> peak,
                                 std::int64_t now_ms) const {
  const auto [signal, exit_code] = *death_;
  std::string tail = tail_.text();
  if (ready_) {
    return RunnerDied{id(),  started, signal, exit_code, std::move(tail), peak ? over_limit(*peak) : "",
                      now_ms};
  }
  if (tail.empty()) {
    tail = signal != 0 || exit_code != 0 ? "it ended before it was ready"
                                         : "it ended before it was ready: is it linked with weft::client?";
  }
  return failure_to_start(fmt::format("{} ({})", tail, exit_text(signal, exit_code)));
}

Event RunnerMonitor::failure_to_start(std::string_view why) const {
  return RunnerFailedToStart{
      id(), fmt::format("{} does not start on worker {}: {}", settings_.program, settings_.worker, why)};
}

void RunnerMonitor::check_invariants() const {
  for (std::size_t i = 1; i < tasks_.size(); ++i) WEFT_CHECK(tasks_[i].first == tasks_[i - 1].first + 1);
  WEFT_CHECK(ready_ || tasks_.empty());
  WEFT_CHECK(!ready_ || functions_.empty());
  WEFT_CHECK(tasks_.empty() || last_started_ <= tasks_.front().first);
  WEFT_CHECK(!unreadable_ || broken_);
}

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
#include "tests/bench/scheduler_load.hpp"

#include <malloc.h>

#include <string>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"
#include "tests/bench/instructions.hpp"

namespace weft::bench {

using namespace broker;

namespace {

constexpr std::uint64_t kEpoch = 77;
constexpr PeerId kClient = 1;
constexpr PeerId kFirstWorker = 2;
constexpr std::uint32_t kSpec = 1;
constexpr std::size_t kTurnTasks = 1000;  // tasks of one turn of a broker under load
constexpr std::uint64_t kTasksASecond = 1'000'000;

Uuid uuid(std::uint64_t number) {
  Uuid id;
  std::uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15ULL;
  std::memcpy(id.bytes.data(), &mixed, sizeof mixed);
  std::memcpy(id.bytes.data() + sizeof mixed, &number, sizeof number);
  return id;
}

wire::TaskSpec spec() {
  wire::TaskSpec spec;
  spec.program = {"program", {}, 1000};
  spec.program.id.bytes.fill(7);
  spec.function = "f";
  return spec;
}

Settings settings() {
  Settings settings;
  settings.epoch = kEpoch;
  settings.submit_bytes_max = std::size_t{1} << 40;  // no flow control: it is not measured here
  return settings;
}

wire::HelloClient hello() { return {uuid(0), "bench", "host", 1, 0, 0}; }

}  // namespace

SchedulerLoad::SchedulerLoad(Shape shape)
    : shape_(shape), scheduler_(settings(), now_), workers_(shape.workers) {
  if (shape_.run_us == 0) shape_.run_us = shape_.workers * shape_.slots * 1'000'000 / kTasksASecond;
  say(kClient, hello());
  say(kClient, wire::Synced{});
  say(kClient, wire::Define{kSpec, spec()});
  step_all();
  // Before the workers join, so that tasks are queued while they do.
  submit(shape_.workers * shape_.slots + shape_.queued);
  step_all();
  join_workers();
  // Until the run time of every worker's tasks is known and its credit has settled: the credit grows with the
  // first answer.
  const auto queued = [this] { return submitted_ - finished_ - in_flight_; };
  for (std::uint64_t until = finished_ + workers_.size() * shape_.slots; finished_ < until;) turn();
  for (std::size_t had = 0; had != in_flight_;) {
    had = in_flight_;
    if (queued() < shape_.queued) submit(shape_.queued - queued());
    for (std::uint64_t until = finished_ + in_flight_; finished_ < until;) turn();
  }
}

double SchedulerLoad::run(std::uint64_t tasks) {
  spent_ = {};
  const std::uint64_t before = finished_;
  while (finished_ < before + tasks) turn();
  return seconds_of(spent_) * static_cast<double>(tasks) / static_cast<double>(finished_ - before);
}

void SchedulerLoad::join_workers() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const PeerId peer = kFirstWorker + i;
    say(peer, wire::HelloWorker{uuid(1 + i),
                                "worker-" + std::to_string(i),
                                "host-" + std::to_string(i),
                                1,
                                shape_.slots,
                                "x86_64",
                                "glibc 2.36",
                                {},
                                {}});
    say(peer, wire::Ready{});
    if (events_.size() >= kTurnTasks) step_all();
  }
  step_all();
}

void SchedulerLoad::submit(std::size_t tasks) {
  const std::string payload(shape_.payload_bytes, 'p');
  while (tasks > 0) {
    const std::size_t count = std::min(tasks, shape_.submit_records);
    wire::Submit submit;
    submit.tasks.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      submit.tasks.push_back({++submitted_, kSpec, wire::Payload(payload)});
    say(kClient, std::move(submit));
    tasks -= count;
  }
}

/// The worker finishes its oldest tasks, in one RESULTS.
std::size_t SchedulerLoad::finish(Worker& worker, PeerId peer) {
  wire::Results results;
  results.session = uuid(0);
  results.epoch = kEpoch;
  results.fresh = worker.outbox == 0;
  results.first = worker.outbox + 1;
  const std::size_t count = std::min(worker.tasks.size(), shape_.results_max);
  results.records.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Had had = worker.tasks.front();
    worker.tasks.pop_front();
    results.records.push_back(
        {had.seq, had.number, shape_.run_us, wire::Outcome::ok, wire::Payload(std::string_view("12345678"))});
  }
  worker.outbox += count;
  say(peer, std::move(results));
  ++results_;
  return count;
}

/// Some workers answer, as many tasks are submitted, and the client acknowledges its earlier deliveries.
void SchedulerLoad::turn() {
  std::size_t count = 0;
  while (count < kTurnTasks && !turn_.empty()) {
    const std::size_t index = turn_.front();
    turn_.pop_front();
    Worker& worker = workers_[index];
    count += finish(worker, kFirstWorker + index);
    worker.waits = !worker.tasks.empty();
    if (worker.waits) turn_.push_back(index);
  }
  WEFT_CHECK(count > 0);
  finished_ += count;
  in_flight_ -= count;
  submit(count);
  if (delivered_ > 0) say(kClient, wire::Ack{delivered_});
  events_.push_back(Tick{});
  now_ += Duration(count * 1'000'000 / kTasksASecond);
  step_all();
}

void SchedulerLoad::step_all() {
  const auto start = Clock::now();
  {
    const Counted counted;
    for (const Event& event : events_) scheduler_.step(now_, event, actions_);
  }
  spent_ += Clock::now() - start;
  for (const Action& action : actions_) {
    if (const auto* send = std::get_if<Send>(&action)) look_at(*send);
  }
  actions_.clear();
  events_.clear();
}

void SchedulerLoad::look_at(const Send& send) {
  if (const auto* assign = std::get_if<wire::Assign>(&send.message)) {
    const std::size_t index = send.peer - kFirstWorker;
    Worker& worker = workers_[index];
    for (const wire::AssignRecord& task : assign->tasks) worker.tasks.push_back({task.seq, task.number});
    in_flight_ += assign->tasks.size();
    if (!std::exchange(worker.waits, true)) turn_.push_back(index);
  } else if (const auto* deliver = std::get_if<wire::Deliver>(&send.message)) {
    delivered_ = deliver->first + deliver->records.size() - 1;
  } else {
    WEFT_CHECK(!std::holds_alternative<wire::Refuse>(send.message));
  }
}

double bytes_per_queued_task(std::size_t tasks, std::size_t payload_bytes) {
  const auto in_use = [] {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
  };
  constexpr std::size_t kRecords = 250;
  Time now{std::chrono::seconds(1000)};
  Scheduler scheduler(settings(), now);
  Actions actions;
  scheduler.step(now, Received{kClient, hello()}, actions);
  scheduler.step(now, Received{kClient, wire::Synced{}}, actions);
  scheduler.step(now, Received{kClient, wire::Define{kSpec, spec()}}, actions);
  Actions().swap(actions);
  const double before = in_use();
  for (std::uint64_t seq = 0; seq < tasks;) {
    wire::Submit submit;
    for (std::size_t i = 0; i < kRecords && seq < tasks; ++i)
      submit.tasks.push_back({++seq, kSpec, wire::Payload(std::string(payload_bytes, 'p'))});
    // Decoded from a frame, as a broker receives it.
    auto message = wire::decode(wire::encode(submit));
    WEFT_CHECK(message);
    scheduler.step(now, Received{kClient, std::move(*message)}, actions);
    actions.clear();
  }
  Actions().swap(actions);
  return (in_use() - before) / static_cast<double>(tasks);
}

}  // namespace weft::bench

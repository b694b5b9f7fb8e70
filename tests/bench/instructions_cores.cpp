// SPDX-License-Identifier: MIT
// The cores of client and worker, each with a peer that consists only of its messages.
#include <deque>
#include <span>
#include <string>
#include <utility>

#include "client/core/client_core.hpp"
#include "common/base/check.hpp"
#include "tests/bench/instructions.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::bench {

namespace {

constexpr std::uint64_t kEpoch = 77;
constexpr std::uint32_t kSpec = 1;
constexpr std::uint64_t kTurn = 250;  // tasks in a message
const std::string kPayload(16, 'p');

Uuid uuid(std::uint8_t number) {
  Uuid id;
  id.bytes.fill(number);
  return id;
}

wire::TaskSpec spec() {
  wire::TaskSpec spec;
  spec.kind = wire::TaskKind::library;
  spec.function = "f";
  return spec;
}

wire::Welcome welcome() { return {kEpoch, 1000, 3, false, 0}; }

/// A core that receives whole turns of events.
template <class Core, class Event, class Actions>
class Stepped {
 public:
  template <class... Args>
  explicit Stepped(Args&&... args) : core_(std::forward<Args>(args)...) {}

  /// The core's actions after these events and a Tick.
  Actions step(std::vector<Event> events, Event tick) {
    events.push_back(std::move(tick));
    Actions actions;
    {
      const Counted counted;
      if constexpr (requires { core_.step(now, std::span<const Event>(events), actions); }) {
        core_.step(now, std::span<const Event>(events), actions);  // as its shell does
      } else {
        for (const Event& event : events) core_.step(now, event, actions);
      }
    }
    now += Duration(kTurn);
    return actions;
  }
  bool joined() const { return core_.joined(); }

  Time now{std::chrono::seconds(100)};

 private:
  Core core_;
};

// ---- client ----

class Client {
 public:
  Client() : core_(settings(), Time{std::chrono::seconds(100)}) {
    while (!joined_) say({});
    say({client::DefineSpec{kSpec, spec()}});
  }

  void run(std::uint64_t tasks) {
    for (const std::uint64_t until = completed_ + tasks; completed_ < until;) {
      client::Submit submit;
      for (std::uint64_t i = 0; i < kTurn; ++i)
        submit.tasks.push_back({++submitted_, kSpec, wire::Payload(kPayload)});
      answers_.push_back(std::move(submit));
      say(std::exchange(answers_, {}));
    }
  }

 private:
  static client::ClientCore::Settings settings() {
    return {.id = uuid(1), .name = "bench", .host = "here", .pid = 7, .address = "tcp://broker:8786"};
  }

  void say(std::vector<client::Event> events) {
    for (const client::Action& action : core_.step(std::move(events), client::Tick{})) {
      if (std::holds_alternative<client::OpenLink>(action)) answers_.push_back(client::LinkUp{});
      if (const auto* send = std::get_if<client::Send>(&action)) answer(send->message);
      if (const auto* complete = std::get_if<client::Complete>(&action)) completed_ += complete->tasks.size();
    }
    if (!joined_ && !answers_.empty()) say(std::exchange(answers_, {}));
    joined_ = core_.joined();
    core_.now += std::chrono::microseconds(100);
  }

  /// Answers like a broker that has every result at once.
  void answer(const wire::Message& message) {
    if (std::holds_alternative<wire::HelloClient>(message)) answers_.push_back(client::Received{welcome()});
    const auto* submit = std::get_if<wire::Submit>(&message);
    if (submit == nullptr) return;
    answers_.push_back(client::Received{wire::Received{submit->tasks.back().seq}});
    wire::Deliver deliver{delivered_ + 1, {}};
    for (const wire::SubmitRecord& task : submit->tasks)
      deliver.records.push_back({.seq = task.seq, .payload = wire::Payload(kPayload)});
    delivered_ += deliver.records.size();
    answers_.push_back(client::Received{std::move(deliver)});
  }

  Stepped<client::ClientCore, client::Event, client::Actions> core_;
  std::vector<client::Event> answers_;
  bool joined_ = false;
  std::uint64_t submitted_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t completed_ = 0;
};

// ---- worker ----

class Worker {
 public:
  Worker() : core_(settings()) {
    while (!core_.joined()) say(std::exchange(answers_, {}));
    answers_.push_back(worker::Received{wire::DefineFor{uuid(1), kSpec, spec()}});
    say(std::exchange(answers_, {}));
  }

  void run(std::uint64_t tasks) {
    for (const std::uint64_t until = finished_ + tasks; finished_ < until;) {
      if (assigned_ - finished_ <= kTurn) assign();
      say(std::exchange(answers_, {}));
      WEFT_CHECK(!answers_.empty());
    }
  }

 private:
  static worker::WorkerCore::Settings settings() {
    worker::WorkerCore::Settings settings;
    settings.hello = {uuid(2), "w1", "host1", 42, 2, "x86_64", "glibc 2.36", {}, {}};
    settings.broker = "127.0.0.1:8786";
    return settings;
  }

  void assign() {
    wire::Assign message{uuid(1), {}};
    for (std::uint64_t i = 0; i < kTurn; ++i) {
      ++assigned_;
      message.tasks.push_back({assigned_, assigned_, kSpec, 1, false, wire::Payload(kPayload)});
    }
    answers_.push_back(worker::Received{std::move(message)});
  }

  void say(std::vector<worker::Event> events) {
    for (const worker::Action& action : core_.step(std::move(events), worker::Tick{})) answer(action);
    core_.now += std::chrono::microseconds(100);
  }

  /// Answers like runners that take 1 us for a task, and a broker that releases every result at once.
  void answer(const worker::Action& action) {
    if (std::holds_alternative<worker::OpenLink>(action)) {
      answers_.push_back(worker::LinkUp{});
    } else if (const auto* start = std::get_if<worker::StartRunner>(&action)) {
      answers_.push_back(worker::RunnerReady{start->runner, {{"f", "long(long)"}}});
    } else if (const auto* run = std::get_if<worker::RunTask>(&action)) {
      answers_.push_back(worker::TaskFinished{run->runner, run->ordinal, wire::Outcome::ok, 1,
                                              wire::Payload(kPayload), 5000});
    } else if (const auto* send = std::get_if<worker::Send>(&action)) {
      if (std::holds_alternative<wire::HelloWorker>(*send->message))
        answers_.push_back(worker::Received{welcome()});
      if (const auto* results = std::get_if<wire::Results>(&*send->message)) {
        finished_ += results->records.size();
        answers_.push_back(
            worker::Received{wire::Release{uuid(1), results->first + results->records.size() - 1}});
      }
    }
  }

  Stepped<worker::WorkerCore, worker::Event, worker::Actions> core_;
  std::vector<worker::Event> answers_;
  std::uint64_t assigned_ = 0;
  std::uint64_t finished_ = 0;
};

}  // namespace

void run_client_core(std::uint64_t tasks) {
  Client client;
  client.run(tasks / 10);
  count_from_here();
  client.run(tasks);
}

void run_worker_core(std::uint64_t tasks) {
  Worker worker;
  worker.run(tasks / 10);
  count_from_here();
  worker.run(tasks);
}

}  // namespace weft::bench

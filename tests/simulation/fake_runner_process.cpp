// SPDX-License-Identifier: MIT
#include "tests/simulation/fake_runner_process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "common/wire/codec.hpp"

namespace weft::sim {

namespace {

using std::chrono::milliseconds;
constexpr int kFunctions = 4;  // of every program

void* new_memory() {
  void* const memory = std::aligned_alloc(runner::kPageBytes, runner::kMemoryBytes);
  std::memset(memory, 0, runner::kMemoryBytes);
  return memory;
}

}  // namespace

void FakeRunnerProcess::Free::operator()(void* memory) const { std::free(memory); }

FakeRunnerProcess::FakeRunnerProcess(World& world, Oracle& oracle, const Scenario& scenario,
                                     const FakeAgent& agent, worker::Program program)
    : world_(world),
      oracle_(oracle),
      scenario_(scenario),
      agent_(agent),
      random_(world.random().fork()),
      program_(std::move(program)),
      stubborn_(random_.chance(scenario.stubborn_chance)),
      memory_(new_memory()),
      page_(memory_.get()),
      agent_bell_([this] { agent_.wake(); }),
      runner_bell_([this] { hear(); }),
      agent_end_(agent_bell_, memory_.get(), runner::Channel::Role::agent),
      runner_end_(runner_bell_, memory_.get(), runner::Channel::Role::runner) {
  agent_bell_.connect(runner_bell_);
  page_.initialise();
  agent_end_.send(runner::RunnerWelcome{agent_.name});
  world_.coverage().count("runner starts");
  if (random_.chance(scenario_.late_start_chance)) {
    world_.coverage().count("fault: runner never gets ready");
    return;
  }
  later(random_.duration(milliseconds(1), milliseconds(random_.chance(0.1) ? 500 : 40)),
        [this] { get_ready(); });
}

void FakeRunnerProcess::later(Duration delay, std::function<void()> act) {
  world_.after(delay, [this, exists = std::weak_ptr(exists_), act = std::move(act)] {
    if (!exists.expired() && is_alive() && !hangs_) act();
  });
}

void FakeRunnerProcess::later_in_turn(Duration delay, std::function<void()> act) {
  later(delay, [this, turn = turn_, act = std::move(act)] {
    if (turn_ == turn && execution_) act();
  });
}

// ---- the agent's end ----

int FakeRunnerProcess::descriptor_of(const wire::Payload& content) {
  contents_[++last_descriptor_] = content;
  return last_descriptor_;
}

void FakeRunnerProcess::run(const worker::RunTask& action) {
  if (!ready_) fail(fmt::format("{} gives a task to a runner that is not ready", agent_.name));
  last_sent_[action.ordinal] = action;
  runner::RunTask task{.ordinal = action.ordinal,
                       .id = action.id,
                       .function_index = action.function_index,
                       .execution = action.execution};
  int descriptor = -1;
  if (action.payload.is_blob()) {
    task.large_bytes = action.payload.blob().size;
    descriptor = descriptor_of(action.payload.without_tail());
  } else {
    task.payload = action.payload.without_tail();
  }
  const wire::TaskSpec& spec = *action.spec;
  if (spec.kind == wire::TaskKind::program) {
    send(std::move(task), descriptor);
  } else {
    send(runner::RunNamed{spec.kind, spec.function, spec.signature, std::move(task)}, descriptor);
  }
}

template <class M>
void FakeRunnerProcess::send(M message, int descriptor) {
  if (queued_.empty() && agent_end_.send(message, descriptor) == 0) return;
  world_.coverage().count("a task waits for room in a channel");
  queued_.emplace_back(std::move(message), descriptor);
}

void FakeRunnerProcess::flush() {
  while (!queued_.empty() && agent_end_.send(queued_.front().first, queued_.front().second) == 0)
    queued_.pop_front();
  agent_end_.wake();
}

void FakeRunnerProcess::request_stop(std::uint64_t ordinal) {
  page_.request_stop(ordinal);
  asked_ = true;
  if (execution_ && task_.ordinal == ordinal) heed_stop();
}

std::uint64_t FakeRunnerProcess::take_back_unstarted(std::uint64_t first, std::uint64_t last) {
  const auto started = page_.take_back(first, last);
  if (!started) return last;
  world_.coverage().count("tasks are taken back from a runner", last - *started);
  queued_.clear();
  send(runner::RunnerWelcome{});
  return *started;
}

void FakeRunnerProcess::end_channel() {
  asked_ = true;
  agent_bell_.hang_up();
}

void FakeRunnerProcess::kill(int signal) {
  if (ready_ && !asked_) fail(fmt::format("{} kills a runner without a reason", agent_.name));
  world_.coverage().count(signal == SIGKILL ? "ladder: SIGKILL" : "ladder: SIGTERM");
  if (signal == SIGTERM) {
    const bool heeds = execution_ ? oracle_.script(task_.id).heeds_term : !stubborn_;
    if (!heeds) return;
  }
  world_.after(random_.duration(Duration(50), milliseconds(5)),
               [this, exists = std::weak_ptr(exists_), signal] {
                 if (!exists.expired()) die(signal, 0, End::killed);
               });
}

// ---- the loop of the runner ----

const Program* FakeRunnerProcess::program_of(const worker::Program& program) const {
  for (const Program& known : scenario_.programs) {
    if (known.file == program.file && known.libraries == program.libraries) return &known;
  }
  return nullptr;
}

void FakeRunnerProcess::get_ready() {
  runner::RunnerHello hello;
  if (program_.kind == wire::TaskKind::program) {
    const Program* program = program_of(program_);
    if (program == nullptr) fail(fmt::format("{} starts a program that nobody ships", agent_.name));
    if (program->bad_on.contains(agent_.name)) {
      world_.coverage().count("fault: program does not start");
      output_ = "error while loading shared libraries";
      return die(0, 127, End::died);
    }
    for (int i = 0; i < kFunctions; ++i) hello.functions.push_back({fmt::format("f{}", i), ""});
  } else {
    for (const std::string& function : agent_.functions) hello.functions.push_back({function, "long(long)"});
  }
  hello.total = static_cast<std::uint32_t>(hello.functions.size());
  runner_end_.send(hello);
  ready_ = true;
  serve();
}

/// Reads messages until a task begins, or the ring is empty.
void FakeRunnerProcess::serve() {
  for (;;) {
    const runner::Received received = runner_end_.receive();
    if (received.kind == runner::Received::Kind::again) return idle();
    if (received.kind == runner::Received::Kind::garbage)
      fail(fmt::format("{} sends garbage to a runner: {}", agent_.name, received.reason));
    if (take(*received.message, received.fd)) return;
  }
}

void FakeRunnerProcess::idle() {
  announcement_.on_idle();
  runner_end_.wake();
  // The agent may send something before the runner says that it sleeps.
  later(random_.duration(Duration(0), Duration(5)), [this] {
    sleeping_ = runner_end_.sleep();
    if (!sleeping_) return serve();
    (void)runner_end_.was_read();
    if (runner_bell_.has_something()) hear();
  });
}

void FakeRunnerProcess::hear() {
  if (!sleeping_) return;
  later(random_.duration(Duration(1), Duration(100)), [this] {
    if (!std::exchange(sleeping_, false)) return;
    const bool open = runner_end_.read_bell();
    runner_end_.awake();
    if (open) return serve();
    if (stubborn_) return world_.coverage().count("fault: runner does not leave");
    later(random_.duration(Duration(100), milliseconds(10)), [this] { die(0, 0, End::died); });
  });
}

/// Handles a message. True: it has begun a task.
bool FakeRunnerProcess::take(const runner::Message& message, int descriptor) {
  if (const auto* welcome = std::get_if<runner::RunnerWelcome>(&message)) {
    if (!welcome->worker.empty()) return false;
    skipping_ = false;
    shared().started.store(started_);
    return false;
  }
  const auto* named = std::get_if<runner::RunNamed>(&message);
  const auto* task = named != nullptr ? &named->task : std::get_if<runner::RunTask>(&message);
  if (task == nullptr) fail(fmt::format("{} sends a runner an unexpected message", agent_.name));
  if (!begin(task->ordinal)) return false;
  const auto sent = last_sent_.find(task->ordinal);
  if (sent == last_sent_.end() || sent->second.id != task->id || sent->second.execution != task->execution)
    fail(fmt::format("a runner executes task {}, which was taken back", task->id.text()));
  task_ = sent->second;
  last_sent_.erase(last_sent_.begin(), std::next(sent));
  if (named != nullptr && named->function != task_.spec->function) fail("a runner is told another function");
  execute(*task, task->large_bytes > 0 ? contents_.at(descriptor) : task->payload);
  return true;
}

/// As in the real loop: false if the agent has taken the task back.
bool FakeRunnerProcess::begin(std::uint64_t ordinal) {
  if (skipping_) return false;
  shared().started_at_us.store(agent_.clock().time_since_epoch().count());
  std::uint64_t value = started_;
  if (!shared().started.compare_exchange_strong(value, ordinal)) {
    skipping_ = value == (started_ | runner::kTakenBack);
    if (!skipping_) fail("the page of a runner has another task than the last one");
    return false;
  }
  started_ = ordinal;
  return true;
}

void FakeRunnerProcess::execute(const runner::RunTask& task, const wire::Payload& argument) {
  ++turn_;
  since_ = agent_.clock();
  const std::size_t before = oracle_.executions(task.id);
  execution_ = oracle_.started(task.id, *task_.spec, agent_.host, agent_.epoch_of(task.id), task.execution);
  const TaskScript& script = oracle_.script(task.id);
  if (!(argument == Oracle::argument(task.id, script)))
    fail(fmt::format("task {} gets a wrong argument", task.id.text()));
  if (before < script.crashes) {
    later_in_turn(random_.duration(Duration(0), script.run), [this] {
      world_.coverage().count("fault: task takes its runner along");
      die(SIGSEGV, 0, End::died);
    });
  } else if (before < script.crashes + script.hangs) {
    world_.coverage().count("fault: task hangs");
  } else {
    const bool broken = agent_.name == scenario_.broken_worker;
    const bool throws = before < script.crashes + script.hangs + script.throws || broken;
    if (throws)
      world_.coverage().count(broken ? "fault: task throws on a broken worker" : "fault: task throws");
    later_in_turn(script.run, [this, throws] { finish(throws ? End::threw : End::returned); });
  }
  if (shared().stop.load() == task.ordinal) heed_stop();
}

void FakeRunnerProcess::heed_stop() {
  oracle_.asked_to_stop(*execution_);
  if (!oracle_.script(task_.id).heeds_stop) return;
  later_in_turn(random_.duration(Duration(100), milliseconds(30)), [this] { finish(End::stopped); });
}

void FakeRunnerProcess::finish(End end) {
  const TaskId task = task_.id;
  oracle_.ended(*execution_, end);
  execution_.reset();
  memory_left_ = std::max(memory_left_, oracle_.script(task).memory_left);
  runner::TaskDone done{.ordinal = task_.ordinal};
  done.run_us = static_cast<std::uint64_t>((agent_.clock() - since_).count());
  wire::Payload value;
  if (end == End::threw) {
    done.outcome = wire::Outcome::failed;
    value = wire::Payload(wire::encode_error({.type = "std::runtime_error", .message = "script"}));
  } else {
    value = end == End::stopped ? wire::Payload("partial") : oracle_.value(task, agent_.incarnation());
  }
  int descriptor = -1;
  if (value.is_blob()) {
    done.large_bytes = value.blob().size;
    descriptor = descriptor_of(value);
  } else {
    done.payload = value;
  }
  report(done, descriptor);
}

void FakeRunnerProcess::report(const runner::TaskDone& done, int descriptor) {
  if (runner_end_.send(done, descriptor) != 0) {  // the ring is full until the agent reads (backpressure)
    runner_end_.wake();
    return later(milliseconds(1), [this, done, descriptor] { report(done, descriptor); });
  }
  shared().finished.store(done.ordinal);
  const std::int64_t now_us = agent_.clock().time_since_epoch().count();
  if (announcement_.is_due(runner_end_, now_us, static_cast<std::int64_t>(done.run_us))) runner_end_.wake();
  serve();
}

// ---- from the world ----

void FakeRunnerProcess::die(int signal, int exit_code, End end) {
  if (!is_alive()) return;
  if (execution_) oracle_.ended(*execution_, hangs_ ? End::died : end);
  execution_.reset();
  death_ = Death{signal, exit_code};
  runner_bell_.hang_up();
  // Its reaper reports a little later.
  world_.after(random_.duration(Duration(0), milliseconds(3)), [this, exists = std::weak_ptr(exists_)] {
    if (exists.expired()) return;
    death_is_known_ = true;
    agent_.wake();
  });
}

void FakeRunnerProcess::write_garbage() {
  hangs_ = asked_ = true;
  runner::Ring& ring = shared().results;
  char* const bytes = static_cast<char*>(memory_.get()) + runner::kPageBytes + runner::kRingBytes;
  constexpr std::uint64_t kBytes = 8;
  const std::uint64_t at = ring.written.load();
  for (std::uint64_t i = 0; i < kBytes; ++i) bytes[(at + i) % runner::kRingBytes] = 0;
  ring.written.store(at + kBytes);
  runner_bell_.wake(-1);
}

void FakeRunnerProcess::vanish() {
  if (execution_) oracle_.ended(*execution_, End::gone);
  execution_.reset();
}

double FakeRunnerProcess::memory() const {
  const double runs = execution_ ? oracle_.script(task_.id).memory : 0;
  return is_alive() ? std::max(runs, memory_left_) : 0;
}

}  // namespace weft::sim

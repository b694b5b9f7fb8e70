// SPDX-License-Identifier: MIT
#include "tests/simulation/worker_node.hpp"
#include "common/wire/record_codec.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::sim {

WorkerNode::WorkerNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario,
                       std::size_t number)
    : DialerNode(world, network, oracle, scenario.workers[number].name, scenario.workers[number].minor),
      scenario_(scenario),
      plan_(scenario.workers[number]),
      runners_(
          world, oracle, scenario,
          {.host = host(),
           .name = plan_.name,
           .slots = plan_.slots,
           .functions = plan_.functions,
           .emit = [this](worker::Event event) { post([this, event = std::move(event)] { step(event); }); },
           .wake = [this] { post([] {}); },
           .clock = [this] { return clock(); },
           .incarnation = [this] { return incarnation_; },
           .epoch_of = [this](const TaskId& id) { return assigned_by_[id]; }}),
      blobs_(world, scenario.corrupt_chance, [this](worker::Event event, std::function<bool()> still_wanted) {
        const Duration delay = random_.duration(Duration(50), std::chrono::milliseconds(5));
        post_after(delay, [this, event = std::move(event), still_wanted = std::move(still_wanted)] {
          if (still_wanted()) step(event);
        });
      }) {}

void WorkerNode::start() {
  worker::WorkerCore::Settings settings;
  settings.hello.incarnation = incarnation_ = random_.id<16>();
  settings.hello.name = name();
  settings.hello.host = "host-of-" + name();
  settings.hello.pid = random_.below(60000);
  settings.hello.slots = plan_.slots;
  settings.hello.resources = plan_.resources;
  settings.hello.functions = plan_.functions;
  settings.hello.memory = plan_.memory;
  settings.broker = "broker";
  settings.jitter_seed = random_.next();
  settings.prefetch_max = scenario_.prefetch_max;
  core_ = std::make_unique<worker::WorkerCore>(settings);
  assigned_by_.clear();
  exiting_ = false;
  network_.host_up(host());
  note([&] { return "starts, incarnation " + incarnation_.text(8); });
  start_process();
  if (scenario_.short_of_memory && minor_ >= kMemoryMinor) read_memory();
}

/// Reports the worker's memory every second.
void WorkerNode::read_memory() {
  constexpr double kLimit = 1e6;
  post_after(std::chrono::seconds(1), [this] {
    const double used = std::min(1.0, plan_.memory_taken + runners_.memory()) * kLimit;
    step(worker::MemoryUsed{static_cast<std::uint64_t>(used), static_cast<std::uint64_t>(kLimit),
                            "its memory"});
    read_memory();
  });
}

void WorkerNode::crash(Network::Power how) {
  if (!running()) return;
  end_process(how);
  runners_.end_all();
  blobs_.end_process();
  actions_.clear();
}

void WorkerNode::drain() {
  post([this] { step(worker::Drain{}); });
}

std::string WorkerNode::leftovers() const {
  if (!core_) return "no process";
  if (core_->task_count() > 0) return fmt::format("{} tasks", core_->task_count());
  if (blobs_.results() > 0) return fmt::format("{} result blobs", blobs_.results());
  return "";
}

// ---- the session ----

void WorkerNode::link_is_up() { step(worker::LinkUp{}); }
void WorkerNode::link_is_down(const std::string& reason) { step(worker::LinkDown{reason}); }

/// A worker must get the fields that a newer client has added exactly as they were sent; essential fields
/// must never reach a version that does not know them.
void WorkerNode::check_newer(const wire::Message& message) const {
  const auto is_as_sent = [this](const Uuid& session, const wire::Tail& tail) {
    const bool from_newer = oracle_.minor_of(session) > wire::kMinor;
    return tail.fields == (from_newer ? 1 : 0) && tail.bytes == (from_newer ? wire::kNewerField : "");
  };
  if (const auto* define = std::get_if<wire::DefineFor>(&message)) {
    wire::Tail tail = define->content.tail;
    // A worker sees the defaults of fields that were added after its version.
    wire::ByteBuffer unknown;
    wire::BufferWriter out(unknown);
    std::uint32_t fields = 0;
    wire::for_each_description<wire::TaskSpec>([&](const auto& field) {
      if (field.since <= minor_) return;
      wire::write(out, wire::defaults<wire::TaskSpec>().*field.member);
      ++fields;
    });
    if (fields > 0 && !tail.empty()) {
      if (!tail.bytes.starts_with(unknown.view()))
        fail("an old worker is told of an option that it does not know");
      tail.fields -= fields;
      tail.bytes.erase(0, unknown.size());
    }
    if (!is_as_sent(define->session, tail)) fail("the tail of a spec is not as it was sent");
  }
  if (const auto* assign = std::get_if<wire::Assign>(&message)) {
    for (const wire::AssignRecord& record : assign->tasks) {
      if (!is_as_sent(assign->session, record.payload.tail()))
        fail("the tail of a task is not as it was sent");
    }
  }
}

void WorkerNode::receive(wire::Message message, std::uint8_t broker_minor) {
  check_newer(message);
  count_message("to worker: ", message);
  if (const auto* welcome = std::get_if<wire::Welcome>(&message)) {
    epoch_ = welcome->epoch;
    oracle_.joined(host(), true);
  }
  if (const auto* assign = std::get_if<wire::Assign>(&message)) {
    for (const wire::AssignRecord& record : assign->tasks) {
      assigned_by_[TaskId{assign->session, record.seq}] = epoch_;
      const bool told = broker_minor >= kMemoryMinor && plan_.memory > 0;
      if (told && record.payload.is_blob() && record.payload.blob().size > plan_.memory)
        fail("a task is assigned whose argument is larger than its worker's memory");
      if (record.payload.has_tail())
        world_.coverage().count("minors: field of a newer client reaches a worker");
    }
  }
  step(worker::Received{std::move(message), broker_minor});
}

void WorkerNode::tick() {
  std::vector<worker::Event> events;
  runners_.collect(clock(), events);
  for (const worker::Event& event : events) step(event);
  step(worker::Tick{});
  if (!runners_.sleep()) post([] {});
}

void WorkerNode::step(const worker::Event& event) {
  if (exiting_) return;
  if (const auto* finished = std::get_if<worker::TaskFinished>(&event);
      finished && finished->payload.is_blob()) {
    blobs_.add_result(finished->payload.blob());
  }
  if (!std::holds_alternative<worker::Received>(event) && !std::holds_alternative<worker::Tick>(event)) {
    note([&] { return worker::describe(event); });
  }
  core_->step(clock(), event, actions_);
  core_->check_invariants();
  const worker::Actions actions = std::exchange(actions_, {});
  for (const worker::Action& action : actions) {
    if (!std::holds_alternative<worker::Send>(action)) note([&] { return "  " + worker::describe(action); });
    std::visit(
        [this]<class A>(const A& a) {
          if constexpr (requires { perform(a); }) {
            perform(a);
          } else if constexpr (requires { runners_.perform(a); }) {
            runners_.perform(a);
          } else {
            blobs_.perform(a);
          }
        },
        action);
  }
}

void WorkerNode::perform(const worker::OpenLink&) { open_link(); }
void WorkerNode::perform(const worker::CloseLink&) { close_link(false); }
void WorkerNode::perform(const worker::Send& sent) { send(*sent.message); }

void WorkerNode::perform(const worker::RunTask& run) {
  if (run.payload.is_blob() && !blobs_.ready(run.payload.blob().id)) {
    fail("a task is run without its argument");
  }
  runners_.perform(run);
}

void WorkerNode::perform(const ServeChunk& wanted) {
  const wire::Get& get = wanted.get;
  if (!blobs_.has_result(get.id, get.offset, get.bytes)) fail("a result is served that is not there");
  serve(wire::Data{get.id, get.offset, blob_part(get.id, get.offset, get.bytes)});
}

void WorkerNode::perform(const worker::Log&) {}

void WorkerNode::perform(const worker::Exit& exit) {
  count(exit.code == 0 ? "worker leaves by itself" : "worker is refused");
  close_link(true);
  exiting_ = true;
  // In a later event, since this turn still uses the process.
  world_.after(Duration(0), [this] {
    if (!exiting_) return;
    crash(Network::Power::process_down);
    world_.after(random_.duration(std::chrono::milliseconds(500), std::chrono::seconds(3)), [this] {
      if (!running()) start();
    });
  });
}

}  // namespace weft::sim

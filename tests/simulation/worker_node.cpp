// SPDX-License-Identifier: MIT
#include "tests/simulation/worker_node.hpp"

#include <fmt/format.h>

namespace weft::sim {

WorkerNode::WorkerNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario,
                       std::size_t number)
    : Node(world, network, scenario.workers[number].name),
      oracle_(oracle),
      scenario_(scenario),
      plan_(scenario.workers[number]),
      host_(network.add_host(*this)),
      runners_(
          world, oracle, scenario,
          {.host = host_,
           .name = plan_.name,
           .slots = plan_.slots,
           .functions = plan_.functions,
           .emit = [this](worker::Event event) { post([this, event = std::move(event)] { step(event); }); },
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
  worker::Session::Settings settings;
  settings.hello.incarnation = incarnation_ = random_.id<16>();
  settings.hello.name = name();
  settings.hello.host = "host-of-" + name();
  settings.hello.pid = random_.below(60000);
  settings.hello.slots = plan_.slots;
  settings.hello.resources = plan_.resources;
  settings.hello.functions = plan_.functions;
  settings.broker = "broker";
  settings.jitter_seed = random_.next();
  settings.prefetch_max = scenario_.prefetch_max;
  session_ = std::make_unique<worker::Session>(settings);
  assigned_by_.clear();
  exiting_ = false;
  link_ = 0;
  packer_ = {};
  network_.host_up(host_);
  note([&] { return "starts, incarnation " + incarnation_.text(8); });
  start_process();
}

void WorkerNode::crash(Network::Power how) {
  if (!running()) return;
  note([&] { return how == Network::Power::off ? "loses power" : "is killed"; });
  oracle_.joined(host_, false);
  stop_process();
  runners_.end_all();
  blobs_.end_process();
  served_.clear();
  actions_.clear();
  link_ = 0;
  network_.host_down(host_, how);
}

void WorkerNode::drain() {
  post([this] { step(worker::Drain{}); });
}

void WorkerNode::send_garbage() {
  if (link_ != 0) network_.send(link_, Side::dialer, std::string("WEFT\x01\x00\x09\x00 not msgpack", 20));
}

std::string WorkerNode::leftovers() const {
  if (!session_) return "no process";
  if (session_->task_count() > 0) return fmt::format("{} tasks", session_->task_count());
  if (blobs_.results() > 0) return fmt::format("{} result blobs", blobs_.results());
  return "";
}

// ---- from the network ----

void WorkerNode::on_link_up(ConnectionId id) {
  post([this, id] {
    if (id == link_) step(worker::LinkUp{});
  });
}

void WorkerNode::on_link_down(ConnectionId id, const std::string& reason) {
  note([&] { return fmt::format("connection {} is down: {}", id, reason); });
  oracle_.joined(host_, false);
  post([this, id, reason] {
    if (id != link_) return;
    link_ = 0;
    packer_ = {};
    served_.clear();
    step(worker::LinkDown{reason});
  });
}

void WorkerNode::on_frame(ConnectionId id, std::string frame) {
  post([this, id, frame = std::move(frame)] {
    if (id == link_) receive(frame);
  });
}

void WorkerNode::receive(const std::string& frame) {
  auto message = wire::decode(frame);
  if (!message) fail("the broker sends what cannot be decoded: " + message.fault());
  note(frame, [&] { return "<- " + wire::describe(*message); });
  count_message("to worker: ", *message);
  if (const auto* welcome = std::get_if<wire::Welcome>(&*message)) {
    epoch_ = welcome->epoch;
    oracle_.joined(host_, true);
  }
  if (const auto* assign = std::get_if<wire::Assign>(&*message)) {
    for (const wire::AssignRecord& record : assign->tasks)
      assigned_by_[TaskId{assign->session, record.seq}] = epoch_;
  }
  step(worker::Received{std::move(*message)});
}

// ---- the session ----

void WorkerNode::tick() {
  for (const worker::TaskStarted& started : runners_.read_pages()) step(started);
  step(worker::Tick{});
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
  session_->step(clock(), event, actions_);
  session_->check_invariants();
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

void WorkerNode::perform(const worker::OpenLink&) {
  if (link_ != 0) fail(name() + " opens a second link");
  link_ = network_.dial(host_);
}

void WorkerNode::perform(const worker::CloseLink&) {
  if (link_ != 0) network_.close(link_, false);
  lose_link();
}

void WorkerNode::lose_link() {
  oracle_.joined(host_, false);
  link_ = 0;
  packer_ = {};
  served_.clear();
}

void WorkerNode::perform(const worker::Send& send) {
  if (link_ == 0) fail(name() + " sends without a link: " + wire::describe(send.message));
  packer_.add(send.message);
}

void WorkerNode::perform(const worker::RunTask& run) {
  if (run.payload.is_blob() && !blobs_.ready({worker::BlobPlace::argument, run.payload.blob().id})) {
    fail("a task is run without its argument");
  }
  runners_.perform(run);
}

void WorkerNode::perform(const worker::ServeChunk& serve) {
  if (!blobs_.has_result(serve.id, serve.offset, serve.bytes)) fail("a result is served that is not there");
  served_.push_back({serve.id, serve.offset, blob_part(serve.id, serve.offset, serve.bytes)});
}

void WorkerNode::perform(const worker::Log&) {}

void WorkerNode::perform(const worker::Exit& exit) {
  count(exit.code == 0 ? "worker leaves by itself" : "worker is refused");
  flush();
  if (link_ != 0) network_.close(link_, true);
  exiting_ = true;
  // Not from inside its own turn.
  world_.after(Duration(0), [this] {
    if (!exiting_) return;
    crash(Network::Power::process_down);
    world_.after(random_.duration(std::chrono::milliseconds(500), std::chrono::seconds(3)), [this] {
      if (!running()) start();
    });
  });
}

void WorkerNode::flush() {
  for (const wire::Data& data : std::exchange(served_, {})) packer_.add(data);
  while (auto frame = packer_.take()) {
    if (link_ != 0) network_.send(link_, Side::dialer, std::move(*frame));
  }
}

}  // namespace weft::sim

// SPDX-License-Identifier: MIT
#include "tests/simulation/client_node.hpp"

#include <fmt/format.h>

#include "common/wire/codec.hpp"

namespace weft::sim {

ClientNode::ClientNode(World& world, Network& network, Oracle& oracle, const Scenario& scenario,
                       ClientPlan plan)
    : DialerNode(world, network, oracle, plan.name, plan.minor), scenario_(scenario), plan_(std::move(plan)) {
  waves_left_ = plan_.waves.size();
}

void ClientNode::start() {
  client::ClientCore::Settings settings;
  settings.id = id_ = random_.id<16>();
  settings.jitter_seed = random_.next();
  settings.name = name();
  settings.host = "host-of-" + name();
  settings.address = "broker";
  settings.connect_timeout = settings.give_up = std::chrono::minutes(5);
  settings.window_bytes = random_.chance(0.3) ? 1000 : 4 << 20;
  core_ = std::make_unique<client::ClientCore>(settings, clock());
  oracle_.session_started(id_, minor_);
  note([&] { return "starts, session " + id_.text(8); });
  start_process();
  for (const Wave& wave : plan_.waves) post_after(wave.at, [this, &wave] { submit(wave); });
  if (plan_.closes) {
    post_after(*plan_.closes, [this] {
      count("fault: client leaves early");
      close();
    });
  }
}

void ClientNode::crash(Network::Power how) {
  if (!running()) return;
  oracle_.session_over(id_);
  closing_ = closed_ = true;
  waves_left_ = 0;
  end_process(how);
}

void ClientNode::close() {
  if (closing_) return;
  closing_ = true;
  post([this] {
    closed_ = true;
    waves_left_ = 0;
    oracle_.session_over(id_);
    step(client::Close{});
  });
}

std::string ClientNode::leftovers() const {
  if (closed_) return "";
  if (core_->open_tasks() > 0) return fmt::format("{} open tasks in the session", core_->open_tasks());
  if (!results_.empty()) return fmt::format("{} parts of results", results_.size());
  for (const auto& [id, users] : arguments_) {
    if (users != 0) return fmt::format("argument {} has {} users", id.text(8), users);
  }
  return "";
}

// ---- the program ----

void ClientNode::submit(const Wave& wave) {
  if (closed_) return;
  --waves_left_;
  if (wave.find) return attach(wave);
  const std::uint32_t number = next_spec_++;
  const auto spec = std::make_shared<const wire::TaskSpec>(wave.spec);
  files_[spec->program.id] = spec->program.size;
  for (const wire::FileRef& library : spec->libraries) files_[library.id] = library.size;
  step(client::DefineSpec{number, *spec});
  client::Submit submit;
  const std::uint64_t first = next_seq_;
  for (const TaskScript& script : wave.tasks) {
    const TaskId id{id_, next_seq_++};
    own_.push_back({id.seq, spec->detach});
    oracle_.submitted(id, spec, script, host());
    if (script.argument_bytes > 0) ++arguments_[script.argument_blob];
    submit.tasks.push_back({id.seq, number, Oracle::argument(id, script)});
    if (spec->detach && random_.chance(wave.take_chance)) takes_.emplace(id.seq, id);
  }
  open_ += wave.tasks.size();
  step(submit);
  if (wave.retire) step(client::RetireSpec{number});
  for (const Wave::Cancel& cancel : wave.cancels) {
    post_after(cancel.after, [this, task = Own{first + cancel.task, spec->detach}] {
      if (!closed_) this->cancel(task);
    });
  }
}

/// Cancels the newest tasks: older ones have their answers.
void ClientNode::cancel_some(std::uint64_t tasks) {
  post([this, tasks] {
    for (std::uint64_t i = 0; i < tasks && i < own_.size() && !closed_; ++i) {
      if (random_.chance(0.7)) cancel(own_[own_.size() - 1 - i]);
    }
  });
}

void ClientNode::cancel(const Own& task) {
  const TaskId id{id_, task.seq};
  oracle_.cancel_requested(id);
  takes_.erase(task.seq);
  if (task.detached) oracle_.taken(id);  // the program no longer wants the answer
  step(client::CancelTasks{{task.seq}});
}

/// Attaches to detached tasks.
void ClientNode::attach(const Wave& wave) {
  const std::uint32_t number = next_spec_++;
  wire::TaskSpec content;
  content.kind = wire::TaskKind::attached;
  content.label = *wave.find;
  const auto spec = std::make_shared<const wire::TaskSpec>(content);
  step(client::DefineSpec{number, content});
  client::Submit submit;
  std::vector<TaskId> tasks = oracle_.kept_tasks(*wave.find);
  tasks.insert(tasks.end(), wave.named.begin(), wave.named.end());
  for (const TaskId& named : tasks) {
    const TaskId id{id_, next_seq_++};
    oracle_.attached(id, named, spec, host());
    submit.tasks.push_back({id.seq, number, wire::Payload(wire::encode_ref({named.session, named.seq}))});
    if (random_.chance(wave.take_chance)) takes_.emplace(id.seq, named);
  }
  open_ += submit.tasks.size();
  step(submit);
  step(client::RetireSpec{number});
}

/// The program asks for an answer that has come, later or never, unless the core itself waits for it.
void ClientNode::take(std::uint64_t seq) {
  const auto found = takes_.extract(seq);
  if (found.empty()) return;
  post_after(random_.duration(Duration(0), std::chrono::seconds(2)), [this, seq, named = found.mapped()] {
    if (closed_ || (named.session != id_ && !oracle_.at_rest(named))) return;
    oracle_.taken(TaskId{id_, seq});
    step(client::Taken{seq});
  });
}

// ---- the session ----

void ClientNode::link_is_up() { step(client::LinkUp{}); }
void ClientNode::link_is_down(const std::string& reason) { step(client::LinkDown{reason}); }
void ClientNode::tick() { step(client::Tick{}); }

void ClientNode::receive(wire::Message message, std::uint8_t broker_minor) {
  count_message("to client: ", message);
  if (std::holds_alternative<wire::Welcome>(message)) {
    oracle_.joined(host(), true);
  }
  if (const auto* deliver = std::get_if<wire::Deliver>(&message)) {
    for (const wire::DeliveryRecord& record : deliver->records) {
      oracle_.delivered(id_, record);
      if (!record.payload.has_tail()) continue;
      count("minors: field of a newer worker reaches a client");
      if (record.payload.tail().bytes != wire::kNewerField)
        fail("the tail of a result is not as it was sent");
    }
  }
  if (const auto* kept = std::get_if<wire::Journaled>(&message)) {
    for (const std::uint64_t seq : kept->seqs) oracle_.kept(TaskId{id_, seq});
  }
  step(client::Received{std::move(message), broker_minor});
}

void ClientNode::step(const client::Event& event) {
  core_->step(clock(), event, actions_);
  core_->check_invariants();
  const client::Actions actions = std::exchange(actions_, {});
  for (const client::Action& action : actions) {
    std::visit([this](const auto& a) { perform(a); }, action);
  }
}

void ClientNode::perform(const client::OpenLink&) { open_link(); }
void ClientNode::perform(const client::CloseLink&) { close_link(closed_); }

/// A client of an older version leaves out the fields that its version lacks.
void ClientNode::perform(const client::Send& sent) {
  constexpr std::uint8_t kGiveUpMinor = 2;
  wire::Message message = sent.message;
  if (auto* hello = std::get_if<wire::HelloClient>(&message); hello != nullptr && minor_ < kGiveUpMinor)
    hello->give_up_ms = wire::HelloClient{}.give_up_ms;
  if (auto* again = std::get_if<wire::Reannounce>(&message); again != nullptr && minor_ < kCancelledMinor)
    again->cancelled = false;
  send(message);
}

void ClientNode::perform(const client::Complete& complete) {
  for (const client::Completion& done : complete.tasks) {
    note([&] {
      return fmt::format("  task {} is answered, outcome {}", done.seq, static_cast<int>(done.outcome));
    });
    bool whole = true;
    if (done.payload.is_blob() && done.outcome == wire::Outcome::ok) {
      const auto found = results_.find(done.payload.blob().id);
      whole = found != results_.end() && found->second.partial.stored() == done.payload.blob().size;
      if (whole && done.takes_blob) results_.erase(found);
    }
    if (done.arguments.is_blob()) release(done.arguments.blob().id);
    oracle_.completed(TaskId{id_, done.seq}, done, whole);
    --open_;
    take(done.seq);
  }
}

void ClientNode::perform(const client::MarkRunning&) {}

void ClientNode::perform(const client::MarkJournaled&) {}
void ClientNode::perform(const client::CancelsSettled&) {}

void ClientNode::perform(const StoreChunk& chunk) {
  Result& result = results_[chunk.id];
  result.size = chunk.size;
  if (!result.partial.store(chunk.id, chunk.offset, chunk.bytes))
    fail("wrong bytes, or bytes twice, in a result");
  count("blob chunks to clients");
}

void ClientNode::perform(const VerifyBlob& verify) {
  post_after(random_.duration(Duration(10), std::chrono::milliseconds(3)), [this, id = verify.id] {
    const auto found = results_.find(id);
    if (found == results_.end()) return;  // dropped in the meantime
    if (found->second.partial.stored() != found->second.size) fail("a result is verified that is not whole");
    if (!random_.chance(scenario_.corrupt_chance)) return step(BlobReady{id});
    const bool no_room = !random_.chance(0.5);
    count("fault: result is damaged or too large");
    oracle_.spoiled(id);
    results_.erase(found);
    step(BlobBad{id, no_room ? "there is no memory for it" : "it arrived damaged", no_room});
  });
}

void ClientNode::perform(const ServeChunk& wanted) {
  const wire::Get& get = wanted.get;
  const auto argument = arguments_.find(get.id);
  const bool here = files_.contains(get.id) || (argument != arguments_.end() && argument->second > 0);
  if (here) {
    serve(wire::Data{get.id, get.offset, blob_part(get.id, get.offset, get.bytes)});
  } else {
    count("fault: client has no such argument any more");
    serve(wire::Gone{get.id, "no task needs it any more"});
  }
}

void ClientNode::perform(const DropBlob& drop) { results_.erase(drop.id); }

void ClientNode::perform(const client::ReleaseArgument& action) { release(action.id); }

void ClientNode::release(const BlobId& argument) {
  const auto found = arguments_.find(argument);
  if (found == arguments_.end() || found->second == 0) fail("an argument is released once too often");
  --found->second;
}

void ClientNode::perform(const client::GaveUp& gave_up) { fail(name() + " gives up: " + gave_up.reason); }

void ClientNode::perform(const client::Notify& line) {
  const std::string text = text_of(*line.notice);
  note(text, [&] { return "log: " + text; });
}

}  // namespace weft::sim

// SPDX-License-Identifier: MIT
// WorkerCore's tasks: assigning, the blobs that they need before they can run, revoking, and answering.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"
#include "worker/core/worker_core.hpp"

namespace weft::worker {

namespace {

/// Approximate size of the setup that is sent to the runner with each task of this spec.
std::size_t setup_bytes(const wire::TaskSpec& spec) {
  constexpr std::size_t kEach = 16;
  std::size_t bytes = spec.directory.size();
  for (const auto& [name, value] : spec.environment) bytes += name.size() + value.size() + kEach;
  for (const wire::StartCall& call : spec.start) bytes += call.arguments.size() + kEach;
  return bytes;
}

/// Why no task of this spec can start here; "": they can.
std::string fault_of(const wire::TaskSpec& spec, std::uint8_t broker_minor) {
  if (spec.kind == wire::TaskKind::unknown) {
    return fmt::format(
        "this worker speaks protocol {}.{} and does not know this kind of task: the broker speaks {}.{}",
        wire::kMajor, wire::kMinor, wire::kMajor, broker_minor);
  }
  if (const std::size_t bytes = setup_bytes(spec); bytes > runner::kSetupBytesMax) {
    return fmt::format(
        "its environment and the calls at the start of a runner take {} bytes; at most {} are possible",
        bytes, runner::kSetupBytesMax);
  }
  return "";
}

std::string key_of(const Program& program) {
  std::string key(1, static_cast<char>('0' + static_cast<int>(program.kind)));
  const auto add = [&key](const wire::FileRef& file) { key += file.id.text() + file.name + '\0'; };
  add(program.file);
  for (const wire::FileRef& library : program.libraries) add(library);
  return key;
}

}  // namespace

ClientState& WorkerCore::client(const Uuid& session) {
  return clients_.try_emplace(session, session, unused_outbox_).first->second;
}

/// All tasks, ordered by arrival.
std::vector<Task*> WorkerCore::tasks_in_order() {
  std::vector<Task*> tasks;
  tasks.reserve(tasks_.size());
  tasks_.for_each([&](Task& task) { tasks.push_back(&task); });
  std::sort(tasks.begin(), tasks.end(), [](const Task* a, const Task* b) { return a->order < b->order; });
  return tasks;
}

Task* WorkerCore::find(const AttemptKey& key) { return tasks_.find(key); }

ProgramState& WorkerCore::program_of(const wire::TaskSpec& spec) {
  Program program{wire::TaskKind::library, {}, {}};  // weft-runner serves commands as well
  if (spec.kind == wire::TaskKind::program) program = {spec.kind, spec.program, spec.libraries};
  const std::string key = key_of(program);
  return programs_.try_emplace(key, std::move(program)).first->second;
}

std::vector<wire::FileRef> WorkerCore::files_of(const wire::TaskSpec& spec) {
  if (spec.kind != wire::TaskKind::program) return {};
  std::vector<wire::FileRef> files{spec.program};
  files.insert(files.end(), spec.libraries.begin(), spec.libraries.end());
  return files;
}

// ---- specs ----

void WorkerCore::receive(const wire::DefineFor& define) {
  ClientState& owner = client(define.session);
  auto& spec = owner.specs[define.spec];
  if (spec && *spec->content == define.content) return;  // a restarted broker repeats its definitions
  const auto old = std::exchange(spec, LocalSharedPtr<SpecState>::make());
  spec->content = LocalSharedPtr<const wire::TaskSpec>::make(define.content);
  spec->client = &owner;
  spec->program = &program_of(define.content);
  spec->fault = fault_of(define.content, presence_.broker_minor());
  spec->wide = define.content.threads > 1;
  spec->function_known = define.content.kind != wire::TaskKind::program;
  spec->takes_indices = indices_.concerns(define.content.resources);
  ++spec->program->specs;
  // The files are fetched now, so that the first task finds them here or on their way.
  spec->files_ready = true;
  for (const wire::FileRef& file : files_of(define.content)) {
    const bool ready = blobs_.need_file(file, define.session, *actions_);
    spec->files_ready = spec->files_ready && ready;
  }
  if (old) forget_spec(*old);
}

void WorkerCore::receive(const wire::ForgetFor& forget) {
  const auto client = clients_.find(forget.session);
  if (client == clients_.end()) return;
  const auto spec = client->second.specs.find(forget.spec);
  if (spec == client->second.specs.end()) return;
  forget_spec(*spec->second);
  client->second.specs.erase(spec);
}

void WorkerCore::forget_spec(SpecState& spec) {
  --spec.program->specs;
  programs_changed_ = true;
  spec.forgotten = true;
  if (spec.tasks == 0) release_files(spec);
}

void WorkerCore::release_files(const SpecState& spec) {
  for (const wire::FileRef& file : files_of(*spec.content)) blobs_.unneed(file.id, *actions_);
}

// ---- assigned ----

void WorkerCore::receive(const wire::Assign& message) {
  ClientState& owner = client(message.session);
  std::uint64_t& last = assigned_last_[epoch_];
  const LocalSharedPtr<SpecState>* spec = nullptr;
  std::uint32_t number = 0;  // of `spec`; consecutive records mostly share it
  for (const wire::AssignRecord& record : message.tasks) {
    const AttemptKey key{{message.session, record.seq}, {epoch_, record.number}};
    if (is_known(key, last)) continue;
    if (spec == nullptr || number != record.spec) {
      const auto found = owner.specs.find(record.spec);
      spec = found != owner.specs.end() ? &found->second : nullptr;
      number = record.spec;
    }
    assign(owner, key, spec, record);
  }
}

/// Whether this assignment is a repetition: the attempt is here, or answered in an outbox. The broker assigns
/// numbers in increasing order, so only those up to `last`, the highest of their epoch, are looked up.
bool WorkerCore::is_known(const AttemptKey& key, std::uint64_t& last) {
  if (key.attempt.number > last) {
    last = key.attempt.number;
    return false;
  }
  if (find(key) != nullptr) return true;
  const auto owner = clients_.find(key.id.session);
  return owner != clients_.end() && owner->second.outbox.holds(key.id.seq, key.attempt);
}

/// `spec` is null when the broker has not defined it.
void WorkerCore::assign(ClientState& owner, const AttemptKey& key, const LocalSharedPtr<SpecState>* spec,
                        const wire::AssignRecord& record) {
  if (draining_) {  // the assignment crossed DRAINING
    send(wire::Returned{key.id.session, {{record.seq, key.attempt}}});
    return;
  }
  const auto cannot_start = [&](std::string reason) {
    answer(owner, key, record.execution, wire::Outcome::cannot_start,
           wire::Payload(wire::encode_error(error(std::move(reason)))), 0);
  };
  if (spec == nullptr)
    return cannot_start(
        fmt::format("spec {} of this session has not been defined on this worker", record.spec));
  if (!(*spec)->fault.empty()) return cannot_start((*spec)->fault);
  Task& task = tasks_.insert(key);
  task.spec = *spec;
  task.order = ++order_last_;
  task.execution = record.execution;
  task.alone = record.alone;
  task.payload = record.payload;
  ++task.spec->program->tasks;
  ++task.spec->tasks;
  wide_ += task.spec->wide;
  if (!task.spec->files_ready || task.payload.is_blob()) want_needs(task);
  if (!task.is_missing_something()) enqueue(task);
}

void WorkerCore::want_needs(Task& task) {
  const Uuid& session = task.key.id.session;
  task.needs = std::make_unique<Needs>();
  Needs& needs = *task.needs;
  const auto need = [&](const BlobId& id, bool ready) {
    needs.blobs.push_back(id);
    if (ready) return;
    ++needs.missing;
    waiters_[id].push_back(task.key);
  };
  // A file that is listed under two names is one blob.
  const auto is_needed = [&](const BlobId& id) {
    return std::find(needs.blobs.begin(), needs.blobs.end(), id) != needs.blobs.end();
  };
  if (!task.spec->files_ready) {
    for (const wire::FileRef& file : files_of(*task.spec->content)) {
      if (!is_needed(file.id)) need(file.id, blobs_.need_file(file, session, *actions_));
    }
    task.spec->files_ready = needs.missing == 0;
  }
  if (task.payload.is_blob()) {
    const wire::BlobRef argument = task.payload.blob();
    if (!is_needed(argument.id)) need(argument.id, blobs_.need_argument(argument, *actions_));
  }
}

void WorkerCore::on(const BlobReady& event) { blobs_.on_ready(event.id); }
void WorkerCore::on(const BlobMissing& event) { blobs_.on_missing(event.id, *actions_); }
void WorkerCore::on(const BlobBad& event) { blobs_.on_bad(now_, event.id, event.reason); }

/// At the end of a step: requests missing blobs, and queues or fails the tasks whose blobs are settled.
void WorkerCore::settle_blobs() {
  blobs_.perform(now_, *actions_);
  const std::vector<BlobTable::Settled> all_settled = blobs_.take_settled();
  if (all_settled.empty()) return;
  for (const BlobTable::Settled& settled : all_settled) {
    if (!settled.ready) {
      notify({.kind = NoticeKind::blob_missing, .name = settled.id.text(8), .detail = settled.reason});
    }
    const auto found = waiters_.find(settled.id);
    if (found == waiters_.end()) continue;
    const std::vector<AttemptKey> waiters = std::move(found->second);
    waiters_.erase(found);
    for (const AttemptKey& key : waiters) {
      Task* task = find(key);
      WEFT_CHECK(task && task->stage == TaskStage::waiting);
      if (!settled.ready) {
        const bool is_argument = task->payload.is_blob() && task->payload.blob().id == settled.id;
        fail(*task, wire::Outcome::not_fetched,
             error(fmt::format("its {} could not be fetched: {}", is_argument ? "argument" : "program",
                               settled.reason)));
      } else if (--task->needs->missing == 0) {
        enqueue(*task);
      }
    }
  }
  blobs_.perform(now_, *actions_);  // the failed tasks no longer need other blobs: further fetches may begin
}

/// The task has all its blobs: queues it for a runner, behind tasks that arrived before it.
void WorkerCore::enqueue(Task& task) {
  if (draining_) return give_back(task);
  RunQueue& run_queue = task.run_queue();
  const ProgramState& program = *task.spec->program;
  if (program.bad_until && now_ < *program.bad_until && count(run_queue, Runner::State::ready) == 0) {
    return fail(task, wire::Outcome::cannot_start, error(program.bad));
  }
  task.stage = TaskStage::queued;
  run_queue.tasks.insert(task);
  dispatch_needed_ = true;
}

// ---- revoked ----

void WorkerCore::receive(const wire::Revoke& revoke) {
  for (const wire::AttemptRecord& record : revoke.tasks) {
    Task* task = find(AttemptKey{{revoke.session, record.seq}, record.attempt});
    if (task == nullptr) {
      // Either answered already or unknown. Only the unknown one needs RETURNED.
      const auto owner = clients_.find(revoke.session);
      if (owner == clients_.end() || !owner->second.outbox.holds(record.seq, record.attempt)) {
        send(wire::Returned{revoke.session, {record}});
      }
    } else if (revoke.mode == wire::RevokeMode::cancel) {
      cancel(*task);
    } else if (revoke.mode == wire::RevokeMode::retract && task->stage != TaskStage::in_runner) {
      give_back(*task);
    }
  }
}

void WorkerCore::cancel(Task& task) {
  if (task.stage != TaskStage::in_runner) {
    return fail(task, wire::Outcome::cancelled, error("cancelled before it started"));
  }
  if (task.stop != StopReason::none) return;
  Runner& runner = *find(task.runner);
  if (runner.channel.front() == &task) {
    stop_front(runner, StopReason::cancelled);
  } else {
    // The task is stopped when it reaches the front: a stop now could disturb the running one.
    task.stop = StopReason::cancelled;
  }
}

void WorkerCore::give_back(Task& task) {
  send(wire::Returned{task.key.id.session, {{task.key.id.seq, task.key.attempt}}});
  erase(task);
}

// ---- answered ----

void WorkerCore::fail(Task& task, wire::Outcome outcome, wire::ErrorInfo info, std::uint64_t run_us) {
  finish(task, outcome, wire::Payload(wire::encode_error(info)), run_us);
}

void WorkerCore::finish(Task& task, wire::Outcome outcome, wire::Payload payload, std::uint64_t run_us) {
  if (task.unwanted) return give_back(task);  // not just erased: the broker counts the attempts here
  if (payload.is_blob()) blobs_.add_result(task.key.id.session, payload.blob(), *actions_);
  const AttemptKey key = task.key;
  const std::uint32_t execution = task.execution;
  ClientState& owner = *task.spec->client;
  erase(task);
  answer(owner, key, execution, outcome, std::move(payload), run_us);
}

void WorkerCore::answer(ClientState& owner, const AttemptKey& key, std::uint32_t execution,
                        wire::Outcome outcome, wire::Payload payload, std::uint64_t run_us) {
  Outbox::Entry entry{
      key.attempt.epoch, {key.id.seq, key.attempt.number, run_us, outcome, std::move(payload)}, execution};
  owner.outbox.add(std::move(entry), presence_.joined() ? actions_ : nullptr);
}

/// REQUIRES: `task` is in no runner's channel.
void WorkerCore::erase(Task& task) {
  if (task.stage == TaskStage::queued) task.run_queue().tasks.remove(task);
  if (task.needs) stop_needing(task);
  wide_ -= task.spec->wide;
  if (--task.spec->program->tasks == 0) programs_changed_ = true;
  if (--task.spec->tasks == 0 && task.spec->forgotten) release_files(*task.spec);
  tasks_.erase(task);
}

void WorkerCore::stop_needing(const Task& task) {
  for (const BlobId& need : task.needs->blobs) {
    if (const auto found = waiters_.find(need); task.stage == TaskStage::waiting && found != waiters_.end()) {
      std::erase(found->second, task.key);
      if (found->second.empty()) waiters_.erase(found);
    }
    blobs_.unneed(need, *actions_);
  }
}

wire::ErrorInfo WorkerCore::error(std::string message) const {
  wire::ErrorInfo info;
  info.message = std::move(message);
  info.worker = settings_.hello.name;
  info.host = settings_.hello.host;
  return info;
}

void WorkerCore::receive(const wire::Release& release) {
  const auto owner = clients_.find(release.session);
  if (owner != clients_.end()) owner->second.outbox.release(release.outbox);
}

void WorkerCore::receive(const wire::Resend& resend) {
  const auto owner = clients_.find(resend.session);
  if (owner != clients_.end()) owner->second.outbox.send_all(*actions_);
}

void WorkerCore::receive(const wire::EndSession& end_session) {
  const Uuid& session = end_session.session;
  for (Task* task : tasks_in_order()) {
    if (task->key.id.session != session) continue;
    task->unwanted = true;
    cancel(*task);
  }
  blobs_.end_session(session, *actions_);
  const auto owner = clients_.find(session);
  if (owner == clients_.end()) return;
  forget_client(owner);
}

std::map<Uuid, ClientState>::iterator WorkerCore::forget_client(
    std::map<Uuid, ClientState>::iterator client) {
  for (auto& [number, spec] : client->second.specs) forget_spec(*spec);
  unused_outbox_ = std::max(unused_outbox_, client->second.outbox.next());
  return clients_.erase(client);
}

}  // namespace weft::worker

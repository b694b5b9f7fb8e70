// SPDX-License-Identifier: MIT
#include "tests/simulation/oracle.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/wire/codec.hpp"
#include "tests/simulation/blobs.hpp"

namespace weft::sim {

namespace {

// After its start a broker waits this long for what a host holds: the adoption window of 2 s for workers, and
// for clients as long as claims of workers wait for them, both less the network delay.
constexpr Duration kClaimsWithin = std::chrono::milliseconds(1500);
constexpr Duration kAnnouncedWithin = std::chrono::seconds(5);
// A client whose connection has closed has 2 s to reconnect, and a silent client a minute.
constexpr Duration kGrace = std::chrono::milliseconds(1950);
constexpr Duration kSilenceMax = std::chrono::seconds(60);

}  // namespace

Oracle::Task& Oracle::find(const TaskId& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) fail(fmt::format("task {} was never submitted", id.text()));
  return found->second;
}

// ---- what tasks are ----

wire::Payload Oracle::argument(const TaskId& id, const TaskScript& script) {
  if (script.argument_bytes > 0)
    return wire::Payload(wire::BlobRef{id.session, script.argument_blob, script.argument_bytes});
  return wire::Payload("argument of " + id.text());
}

wire::Payload Oracle::value(const TaskId& id, const Uuid& incarnation) const {
  const TaskScript& script = tasks_.at(id).script;
  if (script.result_bytes > 0)
    return wire::Payload(wire::BlobRef{incarnation, script.result_blob, script.result_bytes});
  return wire::Payload("value of " + id.text());
}

void Oracle::submitted(const TaskId& id, std::shared_ptr<const wire::TaskSpec> spec, const TaskScript& script,
                       HostId client) {
  Task& task = tasks_[id];
  task.spec = std::move(spec);
  task.script = script;
  task.client = client;
  task.submitted = world_.now();
  order_.push_back(id);
  ++open_;
}

void Oracle::cancel_requested(const TaskId& id) {
  Task& task = find(id);
  task.cancelled = true;
  if (task.named) find(*task.named).cancelled_by_others = true;
}

void Oracle::spoiled(const BlobId& result) {
  for (const TaskId& id : order_) {
    Task& task = tasks_.at(id);
    if (task.script.result_blob == result) task.spoiled = true;
  }
}

void Oracle::session_over(const Uuid& session) {
  for (const TaskId& id : order_) {
    if (id.session != session) continue;
    Task& task = tasks_.at(id);
    if (!task.answered && !task.forgotten) --open_;
    task.forgotten = true;
  }
}

// ---- the hosts ----

void Oracle::disturb(HostId host, Time until) {
  Host& known = hosts_[host];
  known.disturbed_until = std::max({known.disturbed_until, until, world_.now()});
  known.by_broker = false;
}

/// The present broker need no longer wait for this host.
bool Oracle::late_for_broker(HostId host) const {
  const bool is_worker = host < scenario_.workers.size();
  return world_.now() >= broker_started_ + (is_worker ? kClaimsWithin : kAnnouncedWithin);
}

/// If only the death of the broker has disconnected a host, and the host comes back in time, its tasks must
/// go on undisturbed.
void Oracle::joined(HostId host, bool joined) {
  Host& known = hosts_[host];
  if (joined) {
    known.joined_at = world_.now();
    if (!known.by_broker || late_for_broker(host)) disturb(host, world_.now() + std::chrono::seconds(1));
    known.by_broker = false;
  } else if (known.joined) {
    known.by_broker = known.joined_at <= broker_lost_ && known.disturbed_until < broker_lost_;
    if (!known.by_broker) disturb(host, world_.now() + std::chrono::seconds(1));
  }
  known.joined = joined;
}

/// No fault since `since` could make the broker believe that the host is lost.
bool Oracle::quiet_since(HostId host, Time since) const {
  const Host& known = hosts_.at(host);
  // A host may not know yet that its broker has lost power. Then a freeze that is harmless while a broker
  // runs can make the host reconnect too late.
  const bool missed = known.joined_at < broker_started_ && late_for_broker(host);
  return known.joined && !missed && known.disturbed_until < since;
}

// ---- executions ----

/// Faults of the client do not affect a task that the journal has.
bool Oracle::client_quiet_since(const Task& task, Time since) const {
  return task.kept || quiet_since(task.client, since);
}

void Oracle::broker_heard(HostId host) {
  Host& known = hosts_[host];
  if (world_.now() - known.heard > kSilenceMax) known.may_be_over = world_.now();
  known.heard = world_.now();
}

void Oracle::broker_saw_end(HostId host) {
  Host& known = hosts_[host];
  if (!known.closed) known.closed = world_.now();
}

void Oracle::broker_welcomed(HostId host) {
  Host& known = hosts_[host];
  if (known.closed && world_.now() - *known.closed > kGrace) known.may_be_over = world_.now();
  known.closed.reset();
}

/// A silent client is not gone (GUARANTEES: "The broker waits for a client whose network is down"): the
/// broker ends the session only if the client has closed its connection and not come back soon, or after a
/// long silence.
bool Oracle::session_lasts_since(const Task& task, Time since) const {
  if (task.kept) return true;
  const Host& known = hosts_.at(task.client);
  if (known.closed && world_.now() - *known.closed > kGrace) return false;
  return known.may_be_over < since && world_.now() - known.heard <= kSilenceMax;
}

bool Oracle::ran_over(const Execution& execution, const Task& task) const {
  if (task.spec->timeout_ms == 0) return false;
  const Duration ran = (execution.end == End::running ? world_.now() : execution.stop) - execution.start;
  return has_passed(ran, task.spec->timeout_ms);
}

Oracle::Tally Oracle::tally(const Task& task) const {
  Tally tally;
  bool before = false;  // the task was lost under an earlier broker
  for (const ExecutionId id : task.executions) {
    const Execution& execution = executions_[id];
    const bool quiet = quiet_since(execution.worker, execution.start);
    tally.threw += execution.end == End::threw;
    tally.timed_out += ran_over(execution, task);
    tally.lost += execution.end == End::died || !quiet;
    // An execution that died after its timeout is charged as timed out. Of losses that an earlier broker had
    // no time to report, the next broker counts only the last.
    const bool certain = execution.end == End::died && quiet && client_quiet_since(task, execution.start) &&
                         !ran_over(execution, task);
    const bool earlier = execution.start < broker_started_;
    tally.certain += certain && !(earlier && before);
    before = before || (certain && earlier);
    tally.returned += execution.end == End::returned;
  }
  return tally;
}

/// Whether there is a reason to execute the task again after this execution.
bool Oracle::excused(const Execution& execution, const Task& task) const {
  // The journal may not have the cancel.
  if (task.kept && (task.cancelled || task.cancelled_by_others)) return true;
  if (!quiet_since(execution.worker, execution.start) || !session_lasts_since(task, execution.start))
    return true;
  switch (execution.end) {
    case End::threw:
    case End::died:
    case End::killed:
      return true;
    case End::returned:
      // GUARANTEES: "An answer is kept until some program has asked its future for it ... or for `--keep`": a
      // client that was away for longer finds its answer gone, and its task is executed again.
      return task.spoiled || task.script.result_shared || ran_over(execution, task) ||
             (task.spec->detach &&
              (expired(task) || (task.script.result_bytes > 0 && disk_failed_ > execution.start)));
    case End::stopped:  // perhaps since another execution had returned the answer, which arrived damaged
      return task.spoiled || ran_over(execution, task);
    case End::running:
    case End::gone:
      return ran_over(execution, task);
  }
  return false;
}

void Oracle::check_again(const TaskId& id, const Task& task, HostId worker) const {
  const Tally sum = tally(task);
  // GUARANTEES: "after `--keep` the broker knows nothing of a detached task any more".
  const bool forgotten = task.spec->detach && expired(task);
  if (task.spec->crash_limit <= 1 && task.executions.size() > sum.threw + sum.timed_out && !forgotten) {
    fail(fmt::format("task {} may be started once after each failure, and is started again", id.text()));
  }
  // A worker that was cut off or frozen may start a task that others have executed in the same time: it does
  // not know yet.
  if (!quiet_since(worker, world_.now())) return;
  for (const ExecutionId before : task.executions) {
    const Execution& execution = executions_[before];
    if (!excused(execution, task)) {
      fail(fmt::format(
          "task {} is executed again, though its execution of {:.3f} ms, on host {}, was not lost (end {})",
          id.text(), static_cast<double>(execution.start.time_since_epoch().count()) / 1e3, execution.worker,
          static_cast<int>(execution.end)));
    }
  }
  const Execution* last = task.executions.empty() ? nullptr : &executions_[task.executions.back()];
  if (last != nullptr && last->end == End::threw && quiet_since(last->worker, last->start) &&
      client_quiet_since(task, last->start) &&
      !has_passed(world_.now() - last->stop, task.spec->retry_delay_ms)) {
    fail(fmt::format("task {} is executed again before its retry_delay has passed", id.text()));
  }
  if (sum.certain >= task.spec->crash_limit && !forgotten) {
    fail(fmt::format("task {} has taken {} runners along and is executed again", id.text(), sum.certain));
  }
}

Oracle::ExecutionId Oracle::started(const TaskId& id, const wire::TaskSpec& spec, HostId worker,
                                    std::uint64_t epoch, std::uint32_t number) {
  Task& task = find(id);
  wire::TaskSpec known = spec;
  known.tail = {};  // checked by WorkerNode
  if (!(known == *task.spec)) fail(fmt::format("task {} is executed with another spec", id.text()));
  if (number == 0) fail(fmt::format("task {} is told execution 0", id.text()));
  // A task that its client has refused, since the present broker is too old for it, may still be at a worker
  // that has not heard of this.
  if (task.named || (task.refused && !may_be_refused(task)))
    fail(fmt::format("task {} is executed, and must not be", id.text()));
  check_again(id, task, worker);
  const ExecutionId execution = executions_.size();
  executions_.push_back({id, worker, epoch, world_.now(), {}, End::running});
  task.executions.push_back(execution);
  running_[worker].push_back(execution);
  check_resources(worker, epoch);
  check_slots(worker);
  if (spec.threads > 1) world_.coverage().count("executions on several slots");
  world_.coverage().count(task.executions.size() == 1 ? "executions" : "executions again");
  if ((task.forgotten && !task.kept) || task.answered) world_.coverage().count("executions in vain");
  return execution;
}

void Oracle::check_resources(HostId worker, std::uint64_t epoch) const {
  std::map<std::string, double> used;
  for (const ExecutionId id : running_.at(worker)) {
    const Execution& execution = executions_[id];
    if (execution.epoch != epoch) continue;
    for (const auto& [name, amount] : tasks_.at(execution.task).spec->resources) used[name] += amount;
  }
  for (const auto& [name, amount] : used) {
    const auto& has = scenario_.workers.at(worker).resources;
    const auto there = has.find(name);
    if (there == has.end() || amount > there->second + 1e-9) {
      fail(fmt::format("{} {} are in use on {}", amount, name, scenario_.workers[worker].name));
    }
  }
}

/// GUIDE: a task takes as many slots as its spec has threads.
void Oracle::check_slots(HostId worker) const {
  std::uint32_t busy = 0;
  for (const ExecutionId id : running_.at(worker)) busy += tasks_.at(executions_[id].task).spec->threads;
  const WorkerPlan& plan = scenario_.workers.at(worker);
  if (busy > plan.slots) fail(fmt::format("{} of {} slots are busy on {}", busy, plan.slots, plan.name));
}

/// Some worker has too little memory for the argument, and so has worker 0, the only one that can run every
/// task, or it may have been away.
bool Oracle::may_be_too_large(const Task& task) const {
  const auto lacks = [&](const WorkerPlan& worker) {
    return worker.memory > 0 && worker.memory < task.script.argument_bytes;
  };
  const auto& workers = scenario_.workers;
  return std::any_of(workers.begin(), workers.end(), lacks) &&
         (lacks(workers.front()) || !quiet_since(0, task.submitted));
}

void Oracle::ended(ExecutionId id, End end) {
  Execution& execution = executions_[id];
  execution.end = end;
  execution.stop = world_.now();
  std::erase(running_[execution.worker], id);
}

void Oracle::asked_to_stop(ExecutionId id) const {
  const Execution& execution = executions_[id];
  const Task& task = tasks_.at(execution.task);
  const Tally sum = tally(task);
  // GUARANTEES: a task is executed again "if it failed or timed out, and `retries` asks for another attempt".
  const bool failed = sum.threw + sum.timed_out > task.spec->retries;
  const bool wanted = !task.cancelled && !task.cancelled_by_others && (task.kept || !task.forgotten) &&
                      !task.answered && !ran_over(execution, task) && sum.returned == 0 && !failed;
  // Another worker may run the task too, if a broker assigned it there that had not heard of this execution:
  // one of the two is enough.
  const bool alone = std::none_of(task.executions.begin(), task.executions.end(), [&](ExecutionId other) {
    return other != id && executions_[other].end == End::running;
  });
  if (wanted && alone && quiet_since(execution.worker, execution.start) &&
      session_lasts_since(task, execution.start)) {
    fail(fmt::format("task {} is asked to stop, and nobody wanted that", execution.task.text()));
  }
}

}  // namespace weft::sim

// SPDX-License-Identifier: MIT
// Client: a program's connection to a cluster.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "weft/cluster_info.hpp"
#include "weft/error.hpp"
#include "weft/future.hpp"
#include "weft/options.hpp"
#include "weft/submitter.hpp"

namespace weft {

/// For gather(futures, weft::outcomes): errors as values.
struct outcomes_t {
  explicit outcomes_t() = default;
};
inline constexpr outcomes_t outcomes{};

/// One connection to one broker, with a thread that delivers. submit, map, call and command are those of
/// Submitter. May be used from any thread, but not in a child of fork(), where everything but the
/// destructor throws Error.
class Client : public Submitter {
 public:
  /// "host:port" or "tcp://host:port"; "": what $WEFT_BROKER says, else 127.0.0.1:8786. Throws
  /// ConnectionError, naming the address and the last reason, when no broker answers within 10 s,
  /// std::invalid_argument when that is not an address. Calls weft::init() first. From then on an Error that
  /// nothing catches ends the program with its text on stderr and exit code 1, unless the program has set a
  /// terminate handler.
  explicit Client(std::string address = "");
  explicit Client(ClientOptions options);
  /// Within a second: unfinished tasks are cancelled, here and on the cluster, but not the detached ones;
  /// when some of those, or their cancels, are still on their way to the broker it waits for them, up to 10
  /// s. What was lost or refused, and flush() has not said, is printed on stderr. Futures stay usable.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// A view of this client whose tasks have these options: client.with({.retries = 2}).map<f>(inputs).
  /// Throws std::invalid_argument for options that make no sense. Must not outlive the client.
  ClientWith with(TaskOptions options);

  /// Waits for all results, in order, and until the on_done callbacks of these futures have returned; throws
  /// the first failure in that order. For Future<void>: waits.
  template <class R>
  auto gather(const std::vector<Future<R>>& futures) {
    if constexpr (std::is_void_v<R>) {
      for (const Future<R>& future : futures) {
        future.result();
        future.handle()->wait_for_callbacks(std::nullopt);
      }
    } else {
      std::vector<R> results;
      results.reserve(futures.size());
      for (const Future<R>& future : futures) {
        results.push_back(future.result());
        future.handle()->wait_for_callbacks(std::nullopt);
      }
      return results;
    }
  }

  /// Waits for all, and for their callbacks; outcome i is the result of future i, or its error. When the
  /// broker is gone for good, the results that had come are there, and each other outcome is a
  /// ConnectionError.
  template <class R>
  std::vector<Outcome<R>> gather(const std::vector<Future<R>>& futures, outcomes_t) {
    std::vector<Outcome<R>> results;
    results.reserve(futures.size());
    for (const Future<R>& future : futures) {
      results.push_back(outcome_of(future));
      future.handle()->wait_for_callbacks(std::nullopt);
    }
    return results;
  }

  /// Calls F(arguments...) once in each process that runs functions of this program, before the first of its
  /// tasks that are submitted after this. What F leaves behind there (variables, locale, signal handlers,
  /// open files ...) stays for all tasks. Several are called in their order. When F throws, the task fails
  /// with that, and the next one tries again. Throws std::length_error for arguments of more than 8 KiB.
  template <auto F, class... Args>
  void on_worker_start(Args&&... arguments) {
    detail::add_start_call(core_, detail::function_index<F>(),
                           detail::Call<F>::encode(std::forward<Args>(arguments)...));
  }

  /// Calls F(arguments...) once on each worker that has joined and takes tasks, before tasks of this client
  /// that wait there. Waits for all; the results by the names of the workers (std::monostate for void).
  /// Throws the first failure in that order. What F leaves behind in the process that it ran in does not
  /// stay.
  template <auto F, class... Args>
  auto run_on_workers(const Args&... arguments) {
    using R = typename detail::Call<F>::Result;
    std::map<std::string, Future<R>> futures;
    for (const WorkerInfo& worker : cluster().workers) {
      if (worker.state == "draining" || worker.state == "lost") continue;
      ClientWith there = with({.priority = std::numeric_limits<int>::max(), .workers = {worker.name}});
      futures.emplace(worker.name, there.template submit<F>(arguments...));
    }
    std::map<std::string, std::conditional_t<std::is_void_v<R>, std::monostate, R>> results;
    for (auto& [name, future] : futures) {
      if constexpr (std::is_void_v<R>) {
        future.result();
        results.try_emplace(name);
      } else {
        results.emplace(name, std::move(future).result());
      }
    }
    return results;
  }

  /// The detached tasks (TaskOptions::detach) with this label, of whatever client, in the order in which they
  /// were submitted, under their ids and function names; none: an empty vector. Those that are finished are
  /// done() at once, unless their results are large. R is what their function returns: a result that is none
  /// is a TaskFailed. The broker keeps an answer until some program has asked one of these futures, or the
  /// Future of the client that submitted it, for it (result(), error()), and no other program that holds a
  /// Future for it is still without it. Cancelling such a future cancels the task. Throws ConnectionError
  /// when the broker does not answer.
  template <class R>
  std::vector<Future<R>> attach(const std::string& label) {
    return attach_to<R>(detail::find_detached(core_, label), nullptr);
  }
  /// The same for one of the sweeps that have its label.
  template <class R>
  std::vector<Future<R>> attach(const Sweep& sweep) {
    return attach_to<R>(detail::find_detached(core_, sweep.label), &sweep);
  }

  /// Who has submitted detached tasks with this label, of which function, when, and how many of them are
  /// finished: the earliest first. Throws ConnectionError when the broker does not answer.
  std::vector<Sweep> sweeps(const std::string& label) { return detail::find_detached(core_, label).sweeps; }

  /// Runs a task that has failed again, with the same arguments and options: a new task, with new attempts.
  /// Throws Error when it is not done, succeeded, was cancelled, or is not one that this client has
  /// submitted: its arguments are kept by the Future of its submit, and by no broker, so that an attached one
  /// cannot be run again.
  template <class R>
  Future<R> retry(const Future<R>& failed) {
    static_cast<void>(failed.id());  // throws when it stands for no task
    detail::Ref<detail::TypedState<R>> state(new detail::TypedState<R>);
    detail::submit_again(core_, *failed.handle(), state);
    return Future<R>(std::move(state));
  }

  /// Waits until every detached task that this client has submitted is in the broker's journal, from when on
  /// it survives this program and the broker, and until the broker has every cancel(). Throws Error with the
  /// reason when tasks were refused since the last flush, ConnectionError when the broker is gone for good.
  void flush();

  /// Asks the broker for its workers, slots and tasks. Throws ConnectionError when it does not answer.
  ClusterInfo cluster();

 private:
  template <class R>
  static Outcome<R> outcome_of(const Future<R>& future) {
    try {
      if (std::optional<TaskError> error = future.error()) return Outcome<R>(std::move(*error));
      if constexpr (std::is_void_v<R>) {
        future.result();
        return Outcome<R>();
      } else {
        return Outcome<R>(future.result());
      }
    } catch (const TaskError& error) {  // it does not decode
      return Outcome<R>(error);
    } catch (const ConnectionError& error) {
      return Outcome<R>(error);
    }
  }

  /// `only` null: all of them.
  template <class R>
  std::vector<Future<R>> attach_to(const detail::DetachedTasks& found, const Sweep* only) {
    std::vector<Future<R>> futures;
    std::vector<detail::FutureState*> finished;
    std::optional<detail::Submission> submission;  // of tasks of sweep `current`
    TaskOptions options;
    std::size_t current = 0;
    for (const detail::DetachedTask& task : found.tasks) {
      const Sweep& sweep = found.sweeps[task.sweep];
      if (only != nullptr && (sweep.session != only->session || sweep.function != only->function)) continue;
      if (!submission || task.sweep != current) {
        if (submission) submission->flush();
        current = task.sweep;
        options.label = sweep.label;
        submission.emplace(core_,
                           detail::CallTarget{.kind = detail::CallKind::attached, .function = sweep.function},
                           &options);
      }
      detail::Ref<detail::TypedState<R>> state(new detail::AttachedState<R>(task.id));
      submission->add(task.arguments(), state);
      if (task.finished) finished.push_back(state.get());
      futures.emplace_back(std::move(state));
    }
    if (submission) submission->flush();
    detail::await_finished(finished);
    return futures;
  }

  std::unique_ptr<detail::Core> owned_core_;
};

}  // namespace weft

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

/// A tag: gather(futures, weft::outcomes) returns errors as values instead of throwing the first one.
struct outcomes_t {
  explicit outcomes_t() = default;
};
inline constexpr outcomes_t outcomes{};

/// A connection to one broker, with an I/O thread. submit, map, call and command are inherited from
/// Submitter. Thread-safe, but not usable in a child of fork(), where everything except the destructor throws
/// Error.
class Client : public Submitter {
 public:
  /// Connects to the broker at `address`: "host:port" or "tcp://host:port"; "": $WEFT_BROKER, or
  /// 127.0.0.1:8786 if the variable is not set. Throws ConnectionError, which names the address and the last
  /// reason, when no broker answers within 10 s, and std::invalid_argument for an invalid address. Calls
  /// weft::init() first. From then on an uncaught Error ends the program with the text of the error on stderr
  /// and exit code 1, unless the program has set a terminate handler.
  explicit Client(std::string address = "");
  /// The same with options, which may set another limit than 10 s. Throws std::invalid_argument also for a
  /// connect_timeout that is not positive, a negative give_up, or a name of more than 64 KiB.
  explicit Client(ClientOptions options);
  /// Cancels unfinished tasks, here and on the cluster, except detached ones; takes up to a second. Waits up
  /// to 10 s more until detached tasks are in the broker's journal and cancels of detached tasks have reached
  /// the broker. Prints on stderr which of them were lost, and refusals that flush() has not reported.
  /// Futures stay usable.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// A view of this client whose tasks have these options: client.with({.retries = 2}).map<f>(inputs). Throws
  /// std::invalid_argument for invalid options. Must not outlive the client.
  ClientWith with(TaskOptions options);

  /// Waits for all results, and for the on_done callbacks of these futures. Returns copies of the results in
  /// the order of the futures (nothing for Future<void>). Throws the first failure in that order, without
  /// waiting for the futures after it.
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

  /// Waits for all futures and their on_done callbacks. Outcome i is the result of future i, or its error. If
  /// the broker is lost for good, results that have arrived are included, and each other outcome is a
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

  /// Calls F(arguments...) once in each runner (process that runs functions of this program), before the
  /// first task there that is submitted later. The process state that F leaves (variables, locale, signal
  /// handlers, open files ...) stays for all tasks. Several such calls are made in the order of registration.
  /// If F throws, the task fails with that exception, and the next task tries the call again. Throws
  /// std::length_error for arguments of more than 8 KiB.
  template <auto F, class... Args>
  void on_worker_start(Args&&... arguments) {
    detail::add_start_call(connection_, detail::function_index<F>(),
                           detail::Call<F>::encode(std::forward<Args>(arguments)...));
  }

  /// Calls F(arguments...) once on each worker that has joined and accepts tasks, ahead of queued tasks of
  /// this client there. Waits for the calls and returns their results by worker name (std::monostate for
  /// void), or throws the first failure in the order of names. Changes that F makes to the state of its
  /// process do not persist. Throws ConnectionError when the broker does not answer.
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

  /// Futures for the detached tasks (TaskOptions::detach) with this label, of any client, in the order of
  /// submission; empty if there are none. The futures have the ids and function names of the tasks. Finished
  /// tasks are done() at once, unless their results are large. R must be the result type of the function; a
  /// result of another type is a TaskFailed. The broker retains an answer until a program has asked for it
  /// (result(), error()) by such a future or by the Future of the original client, and every other program
  /// that holds a Future for the task has received it. Cancelling such a future cancels the task. Throws
  /// ConnectionError when the broker does not answer.
  template <class R>
  std::vector<Future<R>> attach(const std::string& label) {
    return attach_to<R>(detail::find_detached(connection_, label), nullptr);
  }
  /// The same for the tasks of one sweep, as returned by sweeps().
  template <class R>
  std::vector<Future<R>> attach(const Sweep& sweep) {
    return attach_to<R>(detail::find_detached(connection_, sweep.label), &sweep);
  }

  /// The sweeps with this label, the earliest first: which clients have submitted detached tasks, of which
  /// function, when, and how many of the tasks are finished. Throws ConnectionError when the broker does not
  /// answer.
  std::vector<Sweep> sweeps(const std::string& label) {
    return detail::find_detached(connection_, label).sweeps;
  }

  /// Runs a failed task again, with the same arguments and options, as a new task with new attempts. Throws
  /// Error when the task is not done, has succeeded, was cancelled, or was not submitted by this client: only
  /// the Future of its submit retains the arguments, so an attached task cannot be retried.
  template <class R>
  Future<R> retry(const Future<R>& failed) {
    static_cast<void>(failed.id());  // throws if the future has no task
    detail::IntrusivePtr<detail::TypedState<R>> state(new detail::TypedState<R>);
    detail::submit_again(connection_, *failed.handle(), state);
    return Future<R>(std::move(state));
  }

  /// Waits until every detached task of this client is in the broker's journal (a write-ahead log), so that
  /// the task survives the end of this program and of the broker, and until the broker has every cancel().
  /// Throws Error with the reason when detached tasks have been refused since the last flush(), and
  /// ConnectionError when the broker is lost for good.
  void flush();

  /// Asks the broker for its workers, slots and tasks. Throws ConnectionError when the broker does not answer
  /// within 10 s.
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
    } catch (const TaskError& error) {  // the result cannot be decoded
      return Outcome<R>(error);
    } catch (const ConnectionError& error) {
      return Outcome<R>(error);
    }
  }

  /// `only`: the sweep to attach to; null: all sweeps in `found`.
  template <class R>
  std::vector<Future<R>> attach_to(const detail::DetachedTasks& found, const Sweep* only) {
    std::vector<Future<R>> futures;
    std::vector<detail::FutureState*> finished;
    std::optional<detail::Submission> submission;  // for the tasks of sweep `current`
    TaskOptions options;
    std::size_t current = 0;
    for (const detail::DetachedTask& task : found.tasks) {
      const Sweep& sweep = found.sweeps[task.sweep];
      if (only != nullptr && (sweep.session != only->session || sweep.function != only->function)) continue;
      if (!submission || task.sweep != current) {
        if (submission) submission->flush();
        current = task.sweep;
        options.label = sweep.label;
        submission.emplace(connection_,
                           detail::CallTarget{.kind = detail::CallKind::attached, .function = sweep.function},
                           &options);
      }
      detail::IntrusivePtr<detail::TypedState<R>> state(new detail::AttachedState<R>(task.id));
      submission->add(task.arguments(), state);
      if (task.finished) finished.push_back(state.get());
      futures.emplace_back(std::move(state));
    }
    if (submission) submission->flush();
    detail::await_finished(finished);
    return futures;
  }

  std::unique_ptr<detail::Connection> owned_connection_;
};

}  // namespace weft

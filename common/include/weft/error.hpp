// SPDX-License-Identifier: MIT
// The exceptions of Weft, and Outcome, which holds a result or an error:
//
//   Error
//   +- ConnectionError
//   +- TaskError
//      +- TaskFailed, TaskCrashed, TaskTimeout, TaskCancelled, TaskUnschedulable
//
// The subclasses of TaskError add no members, so that each can be stored, copied and thrown as a TaskError
// without slicing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "weft/ids.hpp"

namespace weft {

/// The base of everything that Weft throws, except std::logic_error and its subclasses (invalid_argument,
/// out_of_range, length_error) for a wrong call.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// No broker answered in time, the broker refused this client, or the broker was lost for good. When no
/// broker answered, the text names the address.
class ConnectionError : public Error {
 public:
  using Error::Error;
};

/// How a task without a result ended.
enum class TaskErrorKind : std::uint8_t {
  failed,         // the function threw, or could not be started
  crashed,        // its runner or worker was lost while it ran, crash_limit times
  timeout,        // it ran longer than TaskOptions::timeout
  cancelled,      // it was cancelled
  unschedulable,  // no worker could take it within TaskOptions::queue_timeout
};

/// The content of a TaskError, collected by the client from broker and worker.
struct TaskErrorDetails {
  TaskErrorKind kind = TaskErrorKind::failed;
  TaskId task;
  std::string function;              // display name, or the name in a library
  std::string label;                 // TaskOptions::label
  std::string worker;                // name; "" if the task never reached a worker
  std::string host;                  // of that worker
  std::uint32_t attempt = 0;         // executions started, including this one; 0: none
  std::string type;                  // of the exception: "std::out_of_range"; "": no exception
  std::string text;                  // what() of the exception, or how it ended; see TaskError::text()
  std::vector<std::string> history;  // one line for each lost attempt, oldest first
  std::string directory;             // where it ran, on `host`; see TaskError::directory()
};

/// Why a task has no result. Copies share their content and never throw.
class TaskError : public Error {
 public:
  explicit TaskError(TaskErrorDetails details)
      : Error(sentence(details)), details_(std::make_shared<const TaskErrorDetails>(std::move(details))) {}

  TaskErrorKind kind() const { return details_->kind; }
  TaskId task() const { return details_->task; }
  /// Display name of the function, or the name that was called in a library.
  const std::string& function() const { return details_->function; }
  const std::string& label() const { return details_->label; }
  /// Name and host of the worker of the last attempt; "" if the task never reached a worker.
  const std::string& worker() const { return details_->worker; }
  const std::string& host() const { return details_->host; }
  /// Working directory of the task on host() when it threw, to which relative paths in its message refer. For
  /// a crash, TaskOptions::directory; "" if that option is not an absolute path, since the scratch directory
  /// of a runner is removed with the runner.
  const std::string& directory() const { return details_->directory; }
  /// Executions started, including the last one; 0: the task never started.
  std::uint32_t attempt() const { return details_->attempt; }
  /// Type name of the exception that the function threw; "" when there was none.
  const std::string& type() const { return details_->type; }
  /// what() of that exception, or how the task ended; what() of this error is a whole sentence. A runner
  /// sends up to 10,000 bytes of what() and 1,000 of type(), and marks a longer text with "... (truncated:
  /// ...)". After a crash the text has the last 50 lines of stderr, at most 4,096 bytes.
  const std::string& text() const { return details_->text; }
  /// One line for each lost attempt, oldest first.
  const std::vector<std::string>& history() const { return details_->history; }
  const TaskErrorDetails& details() const { return *details_; }

  /// Throws this error as the subclass for its kind.
  [[noreturn]] inline void rethrow() const;

 private:
  static inline std::string sentence(const TaskErrorDetails& details);

  std::shared_ptr<const TaskErrorDetails> details_;  // shared by copies
};

/// The function threw (see type() and text()), or could not be started (see text()).
class TaskFailed : public TaskError {
 public:
  explicit TaskFailed(const TaskError& error) : TaskError(error) {}
};
/// The task lost its runner or worker crash_limit times: text() has the signal or exit code and the last
/// lines of stderr, history() the attempts.
class TaskCrashed : public TaskError {
 public:
  explicit TaskCrashed(const TaskError& error) : TaskError(error) {}
};
/// The task ran longer than TaskOptions::timeout.
class TaskTimeout : public TaskError {
 public:
  explicit TaskTimeout(const TaskError& error) : TaskError(error) {}
};
/// The task was cancelled before it had a result.
class TaskCancelled : public TaskError {
 public:
  explicit TaskCancelled(const TaskError& error) : TaskError(error) {}
};
/// No worker could take the task within TaskOptions::queue_timeout; text() names the constraint that no
/// worker met.
class TaskUnschedulable : public TaskError {
 public:
  explicit TaskUnschedulable(const TaskError& error) : TaskError(error) {}
};

void TaskError::rethrow() const {
  switch (kind()) {
    case TaskErrorKind::failed:
      throw TaskFailed(*this);
    case TaskErrorKind::crashed:
      throw TaskCrashed(*this);
    case TaskErrorKind::timeout:
      throw TaskTimeout(*this);
    case TaskErrorKind::cancelled:
      throw TaskCancelled(*this);
    case TaskErrorKind::unschedulable:
      throw TaskUnschedulable(*this);
  }
  throw *this;
}

// "task inc (3f2a91c0-17, label "left") failed on worker-1 (host) in /data, attempt 2: std::range_error: no"
std::string TaskError::sentence(const TaskErrorDetails& details) {
  static constexpr const char* kVerbs[] = {"failed", "crashed", "took too long", "was cancelled",
                                           "could not be scheduled"};
  std::string out =
      "task " + (details.function.empty() ? "" : details.function + " ") + "(" + details.task.text();
  if (!details.label.empty()) out += ", label \"" + details.label + "\"";
  out += std::string(") ") + kVerbs[static_cast<std::size_t>(details.kind)];
  if (!details.worker.empty()) out += " on " + details.worker;
  if (!details.worker.empty() && !details.host.empty()) out += " (" + details.host + ")";
  if (!details.directory.empty()) out += " in " + details.directory;
  if (details.attempt > 0) out += ", attempt " + std::to_string(details.attempt);
  if (!details.type.empty()) out += ": " + details.type;
  if (!details.text.empty()) out += ": " + details.text;
  // The last attempt is described above; earlier attempts that ended the same way are abbreviated.
  const std::string type = details.type.empty() ? "" : details.type + ": ";
  const std::string said =
      ": " + type + details.text.substr(0, std::min<std::size_t>(details.text.find('\n'), 200));
  const std::string last = "attempt " + std::to_string(details.attempt) + ":";
  for (const std::string& line : details.history) {
    const bool same = said.size() > 2 && line.ends_with(said);
    if (same && line.starts_with(last)) continue;
    out += "\n  " + (same ? line.substr(0, line.size() - said.size()) + ", the same" : line);
  }
  return out;
}

namespace detail {

/// Why an Outcome has no value: the task's error, or the loss of the broker before an answer.
class NoValue {
 public:
  explicit NoValue(TaskError error) : error_(std::move(error)) {}
  explicit NoValue(ConnectionError lost) : lost_(std::move(lost)) {}

  bool connection_lost() const { return lost_.has_value(); }
  const TaskError& error() const {
    if (lost_) throw *lost_;
    return *error_;
  }
  [[noreturn]] void rethrow() const { error().rethrow(); }

 private:
  std::optional<TaskError> error_;
  std::optional<ConnectionError> lost_;
};

}  // namespace detail

/// The result of a task, or the error that it ended with.
template <class R>
class [[nodiscard]] Outcome {
 public:
  Outcome(R value) : state_(std::in_place_index<0>, std::move(value)) {}
  Outcome(TaskError error) : state_(std::in_place_index<1>, std::move(error)) {}
  Outcome(ConnectionError lost) : state_(std::in_place_index<1>, std::move(lost)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  /// The broker was lost for good before it answered: value() and error() throw ConnectionError.
  bool connection_lost() const { return !ok() && std::get<1>(state_).connection_lost(); }

  /// The result. If there is none, throws the task's error as the subclass for its kind, or ConnectionError.
  const R& value() const& {
    if (!ok()) std::get<1>(state_).rethrow();
    return std::get<0>(state_);
  }
  R value() && {
    if (!ok()) std::get<1>(state_).rethrow();
    return std::get<0>(std::move(state_));
  }
  /// The task's error. REQUIRES: !ok(), otherwise throws std::logic_error. Throws ConnectionError if
  /// connection_lost().
  const TaskError& error() const {
    if (ok()) throw std::logic_error("weft::Outcome::error(): the task has a result, no error");
    return std::get<1>(state_).error();
  }

 private:
  std::variant<R, detail::NoValue> state_;
};

/// For a task without a result: whether it succeeded, or the error that it ended with.
template <>
class [[nodiscard]] Outcome<void> {
 public:
  Outcome() = default;
  Outcome(TaskError error) : none_(std::in_place, std::move(error)) {}
  Outcome(ConnectionError lost) : none_(std::in_place, std::move(lost)) {}

  bool ok() const { return !none_; }
  explicit operator bool() const { return ok(); }
  /// As in the primary template.
  bool connection_lost() const { return none_ && none_->connection_lost(); }
  /// If the task did not succeed, throws its error as the subclass for its kind, or ConnectionError.
  void value() const {
    if (none_) none_->rethrow();
  }
  /// The task's error. REQUIRES: !ok(), otherwise throws std::logic_error. Throws ConnectionError if
  /// connection_lost().
  const TaskError& error() const {
    if (ok()) throw std::logic_error("weft::Outcome::error(): the task has a result, no error");
    return none_->error();
  }

 private:
  std::optional<detail::NoValue> none_;
};

}  // namespace weft

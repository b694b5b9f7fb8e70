// SPDX-License-Identifier: MIT
// The interface between the templates and the compiled library: the function that is called, its encoded
// arguments, and the state of the future.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/detail/future_state.hpp"
#include "weft/options.hpp"
#include "weft/sweep.hpp"

/// If a program's containers have another layout than the library's, the linker error contains the name of
/// one of these namespaces, which says what to define.
#if defined(_GLIBCXX_DEBUG)
#define WEFT_LAYOUT_BEGIN inline namespace GLIBCXX_DEBUG_must_be_defined_for_the_weft_library_too {
#define WEFT_LAYOUT_END }
#elif defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
#define WEFT_LAYOUT_BEGIN inline namespace GLIBCXX_USE_CXX11_ABI_must_be_0_for_the_weft_library_too {
#define WEFT_LAYOUT_END }
#else
#define WEFT_LAYOUT_BEGIN
#define WEFT_LAYOUT_END
#endif

namespace weft::detail {

class Connection;

enum class CallKind : std::uint8_t { program, library, command, attached };  // values of wire::TaskKind

/// What a task calls. Views must be valid for the duration of the call to which they are passed.
struct CallTarget {
  CallKind kind = CallKind::program;
  std::uint32_t function_index = 0;         // kind program
  std::string (*display_name)() = nullptr;  // kind program; called once
  std::string_view function{};              // the name of the task in a library, or the command
  std::string_view signature{};             // kind library
};

/// A detached task that a broker knows.
struct DetachedTask {
  TaskId id;
  std::size_t sweep = 0;  // index in DetachedTasks::sweeps
  bool finished = false;
  std::string arguments() const;  // encoded arguments of a task that attaches to this one
};
struct DetachedTasks {
  std::vector<Sweep> sweeps;
  std::vector<DetachedTask> tasks;  // in the order of submission
};

WEFT_LAYOUT_BEGIN

/// Submits tasks of one target in bundles, so that the first tasks run while the last are still being
/// encoded. Used by one thread.
class Submission {
 public:
  /// `options` null: the defaults. `connection` and `options` must outlive the Submission. Throws Error when
  /// `connection` cannot be used in this process.
  Submission(Connection* connection, const CallTarget& target, const TaskOptions* options);
  ~Submission();
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;

  /// Adds a task with encoded `arguments`, which are copied. Throws ConnectionError when the broker is lost
  /// for good, and Error when the Client is being destroyed.
  void add(std::string_view arguments, IntrusivePtr<FutureState> state);
  /// Submits the added tasks. The destructor drops those that have not been submitted.
  void flush();

 private:
  struct Bundle;
  std::unique_ptr<Bundle> bundle_;
};

/// Submits one task, like a Submission.
void submit_one(Connection* connection, const CallTarget& target, const TaskOptions* options,
                std::string_view arguments, IntrusivePtr<FutureState> state);

/// See Client::on_worker_start. Throws std::length_error when the arguments are too large.
void add_start_call(Connection* connection, std::uint32_t function_index, std::string_view arguments);

WEFT_LAYOUT_END

/// Submits the task of `failed` again as a new task, whose future is `fresh`. Throws Error, which says why,
/// when this is not possible: see Client::retry.
void submit_again(Connection* connection, const FutureState& failed, IntrusivePtr<FutureState> fresh);

/// The detached tasks with this label. Throws ConnectionError when the broker does not answer.
DetachedTasks find_detached(Connection* connection, const std::string& label);
/// Waits up to 1 s for answers that the broker already has, so that the futures of attach() are done at once.
void await_finished(const std::vector<FutureState*>& states);

/// Throws std::invalid_argument, which names the invalid field.
void check_options(const TaskOptions& options);

}  // namespace weft::detail

// SPDX-License-Identifier: MIT
// Submitter: the functions that create tasks, shared by Client and its views with options.
#pragma once

#include <concepts>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/command.hpp"
#include "weft/detail/map_ranges.hpp"
#include "weft/detail/submission.hpp"
#include "weft/function.hpp"
#include "weft/future.hpp"
#include "weft/options.hpp"

namespace weft {

/// Every function returns without waiting for its tasks, whose results and failures are reported by their
/// Futures, and throws ConnectionError when the broker is lost for good, std::out_of_range for an integer
/// that does not fit the parameter, and Error after fork(). Thread-safe.
///
/// The comments in the lines of submit and map are for users: compilers show these lines in the error about a
/// template or an overloaded function that does not say which function is meant.
class Submitter {
 public:
  /// Calls F(arguments...) on a worker. F is a free or static function. Arguments are converted to its
  /// parameter types and copied in this call.
  template <auto F, class... Args>
  auto submit(Args&&... arguments) {  // weft: F is one function: f<int>, or static_cast<int (*)(int)>(f)
    return submit_call<detail::Call<F>>(detail::function_index<F>(), std::forward<Args>(arguments)...);
  }

  /// Calls a lambda that captures nothing on a worker: submit(lambda, arguments...).
  template <class L, class... Args>
  auto submit(L lambda, Args&&... arguments) {
    static_cast<void>(lambda);
    if constexpr (detail::is_shippable_lambda<L>()) {
      return submit_call<detail::LambdaCall<L>>(detail::function_index<L>(),
                                                std::forward<Args>(arguments)...);
    }
  }

  /// Calls F once for each element of a range, or for the elements of several ranges of equal length taken
  /// together; weft::same(x) is the same value in every call. Elements are copied in this call. The futures
  /// are in the order of the elements, and share memory in blocks of 4 kB: a block is freed with its last
  /// future. Throws std::invalid_argument if the lengths differ (tasks already sent are cancelled).
  template <auto F, class... Ranges>
  auto map(Ranges&&... ranges) {  // weft: F is one function: f<int>, or static_cast<int (*)(int)>(f)
    return map_call<detail::Call<F>>(detail::function_index<F>(), std::forward<Ranges>(ranges)...);
  }

  /// Calls a lambda that captures nothing for each element: map(lambda, ranges...).
  template <class L, class... Ranges>
  auto map(L lambda, Ranges&&... ranges) {
    static_cast<void>(lambda);
    if constexpr (detail::is_shippable_lambda<L>()) {
      return map_call<detail::LambdaCall<L>>(detail::function_index<L>(), std::forward<Ranges>(ranges)...);
    }
  }

  /// Calls a task of a library that workers have loaded, by name. R and the types of the arguments, as they
  /// are given here, must be those of the registered function; otherwise the task fails with a TaskFailed
  /// that shows both signatures.
  template <class R, class... Args>
  Future<R> call(std::string_view task, Args&&... arguments) {
    using Named = detail::NamedCall<R, std::remove_cvref_t<Args>...>;
    static const std::string signature = Named::signature();
    return submit_target<R>({.kind = detail::CallKind::library, .function = task, .signature = signature},
                            Named::encode(std::forward<Args>(arguments)...));
  }

  /// Runs a program on a worker: argv[0] is looked up on the worker's PATH, and `input` becomes the stdin of
  /// the program. Any exit code is a result; a program that cannot be started is a TaskFailed. Throws
  /// std::invalid_argument if argv or argv[0] is empty.
  Future<CommandResult> command(std::vector<std::string> argv, std::string input = "");

 protected:
  Submitter() = default;
  Submitter(detail::Connection* connection, std::shared_ptr<const TaskOptions> options)
      : connection_(connection), options_(std::move(options)) {}
  Submitter(const Submitter&) = default;
  Submitter& operator=(const Submitter&) = default;
  ~Submitter() = default;

  detail::Connection* connection_ = nullptr;    // null: a Client in a runner
  std::shared_ptr<const TaskOptions> options_;  // null: the defaults

 private:
  template <class R>
  Future<R> submit_target(const detail::CallTarget& target, std::string_view arguments) {
    auto state = detail::IntrusivePtr<detail::TypedState<R>>::early(new detail::TypedState<R>);
    detail::submit_one(connection_, target, options_.get(), arguments,
                       detail::IntrusivePtr<detail::FutureState>::early(state.get()));
    return Future<R>(std::move(state));
  }

  template <class C, class... Args>
  auto submit_call(std::uint32_t index, Args&&... arguments) {
    return submit_target<typename C::Result>(program_target<C>(index),
                                             C::encode(std::forward<Args>(arguments)...));
  }

  template <class C, class... Ranges>
  auto map_call(std::uint32_t index, Ranges&&... ranges) {
    using R = typename C::Result;
    detail::require_mappable<Ranges...>();
    detail::Cursors cursors(ranges...);  // throws if two known sizes differ
    std::vector<Future<R>> futures;
    futures.reserve(cursors.known_size());
    detail::RefBlocks<detail::TypedState<R>> states(cursors.known_size());
    detail::Submission submission(connection_, program_target<C>(index), options_.get());
    try {
      for (; !cursors.at_end(); cursors.next()) {
        detail::IntrusivePtr<detail::TypedState<R>> state = states.make();
        cursors.apply([&](auto&&... elements) {
          submission.add(C::encode(std::forward<decltype(elements)>(elements)...),
                         detail::IntrusivePtr<detail::FutureState>::early(state.get()));
        });
        futures.emplace_back(std::move(state));
      }
      cursors.check_ends(futures.size());
      submission.flush();
    } catch (...) {  // the caller will not get these futures
      for (auto& future : futures) future.cancel();
      throw;
    }
    return futures;
  }

  template <class C>
  static detail::CallTarget program_target(std::uint32_t index) {
    return {.kind = detail::CallKind::program, .function_index = index, .display_name = &C::name};
  }
};

/// A view of a Client that submits tasks with options. Must not outlive the Client.
class ClientWith : public Submitter {
 private:
  friend class Client;
  using Submitter::Submitter;
};

}  // namespace weft

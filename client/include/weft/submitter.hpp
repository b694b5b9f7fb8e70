// SPDX-License-Identifier: MIT
// Submitter: the ways to make tasks, which a Client and a view of it with options share.
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

/// Every function returns at once; what a task does and how it fails shows in its Future. They throw
/// ConnectionError when the broker is gone for good, std::out_of_range for an integer that does not fit
/// the parameter, Error after fork(). May be used from any thread.
///
/// Compilers show the lines of submit and map to who gives them a template or an overloaded function without
/// saying which: so the remedy stands there.
class Submitter {
 public:
  /// Calls F(arguments...) on a worker. F is a free or static function; arguments are converted to its
  /// parameter types here, and copied.
  template <auto F, class... Args>
  auto submit(Args&&... arguments) {  // weft: F is one function: f<int>, or static_cast<int (*)(int)>(f)
    return submit_call<detail::Call<F>>(detail::function_index<F>(), std::forward<Args>(arguments)...);
  }

  /// The same with a lambda that captures nothing.
  template <class L, class... Args>
  auto submit(L lambda, Args&&... arguments) {
    static_cast<void>(lambda);
    if constexpr (detail::is_shippable_lambda<L>()) {
      return submit_call<detail::LambdaCall<L>>(detail::function_index<L>(),
                                                std::forward<Args>(arguments)...);
    }
  }

  /// Calls F once for each element of `range`, or for the elements of several ranges of equal length
  /// taken together; weft::same(x) stands for one value in every call. The futures are in the order of
  /// the elements; they share memory, 4 kB at a time, which one that is kept keeps. Throws
  /// std::invalid_argument when the lengths differ (what was sent is cancelled).
  template <auto F, class... Ranges>
  auto map(Ranges&&... ranges) {  // weft: F is one function: f<int>, or static_cast<int (*)(int)>(f)
    return map_call<detail::Call<F>>(detail::function_index<F>(), std::forward<Ranges>(ranges)...);
  }

  /// The same with a lambda that captures nothing.
  template <class L, class... Ranges>
  auto map(L lambda, Ranges&&... ranges) {
    static_cast<void>(lambda);
    if constexpr (detail::is_shippable_lambda<L>()) {
      return map_call<detail::LambdaCall<L>>(detail::function_index<L>(), std::forward<Ranges>(ranges)...);
    }
  }

  /// Calls a task by its name in a library that a worker has loaded. The types of the arguments, as
  /// they are given here, and R must be those of the registered function; else TaskFailed shows both.
  template <class R, class... Args>
  Future<R> call(std::string_view task, Args&&... arguments) {
    using Named = detail::NamedCall<R, std::remove_cvref_t<Args>...>;
    static const std::string signature = Named::signature();
    return submit_target<R>({.kind = detail::CallKind::library, .function = task, .signature = signature},
                            Named::encode(std::forward<Args>(arguments)...));
  }

  /// Runs a program: argv[0] is looked up in the worker's PATH, `input` is its stdin. Any exit code
  /// is a result; a program that cannot be started is a TaskFailed. Throws std::invalid_argument for
  /// an empty argv.
  Future<CommandResult> command(std::vector<std::string> argv, std::string input = "");

 protected:
  Submitter() = default;
  Submitter(detail::Core* core, std::shared_ptr<const TaskOptions> options)
      : core_(core), options_(std::move(options)) {}
  Submitter(const Submitter&) = default;
  Submitter& operator=(const Submitter&) = default;
  ~Submitter() = default;

  detail::Core* core_ = nullptr;                // null: a Client in a runner
  std::shared_ptr<const TaskOptions> options_;  // null: the defaults

 private:
  template <class R>
  Future<R> submit_target(const detail::CallTarget& target, std::string_view arguments) {
    auto state = detail::Ref<detail::TypedState<R>>::early(new detail::TypedState<R>);
    detail::submit_one(core_, target, options_.get(), arguments,
                       detail::Ref<detail::FutureState>::early(state.get()));
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
    detail::Cursors cursors(ranges...);  // throws when sizes differ that are known
    std::vector<Future<R>> futures;
    futures.reserve(cursors.known_size());
    detail::RefBlocks<detail::TypedState<R>> states(cursors.known_size());
    detail::Submission submission(core_, program_target<C>(index), options_.get());
    try {
      for (; !cursors.at_end(); cursors.next()) {
        detail::Ref<detail::TypedState<R>> state = states.make();
        cursors.apply([&](auto&&... elements) {
          submission.add(C::encode(std::forward<decltype(elements)>(elements)...),
                         detail::Ref<detail::FutureState>::early(state.get()));
        });
        futures.emplace_back(std::move(state));
      }
      cursors.check_ends(futures.size());
      submission.flush();
    } catch (...) {  // nobody will hold these futures
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

/// A Client with options for what is submitted through it. Must not outlive the Client.
class ClientWith : public Submitter {
 private:
  friend class Client;
  using Submitter::Submitter;
};

}  // namespace weft

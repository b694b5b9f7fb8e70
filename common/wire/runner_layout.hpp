// SPDX-License-Identifier: MIT
// The fields of the messages between agent and runner in wire order; runner_messages.hpp has their meaning.
#pragma once

#include <algorithm>
#include <type_traits>
#include <variant>

#include "common/wire/record_codec.hpp"
#include "common/wire/runner_messages.hpp"

namespace weft::wire {

template <>
struct Layout<runner::FunctionEntry> {
  WEFT_LAYOUT(runner::FunctionEntry);
  static constexpr auto fields = std::tuple(WEFT_FIELD(name), WEFT_FIELD(signature));
};
template <>
struct Layout<runner::RunnerHello> {
  WEFT_LAYOUT(runner::RunnerHello);
  static constexpr auto fields = std::tuple(WEFT_FIELD(pid), WEFT_FIELD(total), WEFT_FIELD(functions));
};
template <>
struct Layout<runner::TaskDone> {
  WEFT_LAYOUT(runner::TaskDone);
  static constexpr auto fields = std::tuple(WEFT_FIELD(ordinal), WEFT_FIELD(run_us), WEFT_FIELD(outcome),
                                            WEFT_FIELD(large_bytes), WEFT_FIELD(payload));
};
template <>
struct Layout<runner::RunnerWelcome> {
  WEFT_LAYOUT(runner::RunnerWelcome);
  static constexpr auto fields = std::tuple(WEFT_FIELD(worker));
};
template <>
struct Layout<TaskId> {
  WEFT_LAYOUT(TaskId);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(seq));
};
template <>
struct Layout<runner::TaskSetup> {
  WEFT_LAYOUT(runner::TaskSetup);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(directory), WEFT_FIELD(environment), WEFT_FIELD(start), WEFT_FIELD(indices));
};
template <>
struct Layout<runner::RunTask> {
  WEFT_LAYOUT(runner::RunTask);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(ordinal), WEFT_FIELD(id), WEFT_FIELD(function_index), WEFT_FIELD(execution),
                 WEFT_FIELD(large_bytes), WEFT_FIELD(payload), WEFT_FIELD(setup).optional());
};
template <>
struct Layout<runner::RunNamed> {
  WEFT_LAYOUT(runner::RunNamed);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(kind), WEFT_FIELD(function), WEFT_FIELD(signature), WEFT_FIELD(task));
};
template <>
struct Layout<runner::TaskPrinted> {
  WEFT_LAYOUT(runner::TaskPrinted);
  static constexpr auto fields = std::tuple(WEFT_FIELD(out), WEFT_FIELD(err));
};

}  // namespace weft::wire

namespace weft::runner {

// The number of readable bytes past the end of every message that is decoded, for QuickReader.
inline constexpr std::size_t kSlack = std::max(wire::bytes_max_of<RunTask>(), wire::bytes_max_of<TaskDone>());

/// The type byte of a message: its index among the alternatives, from 1.
template <class M, std::size_t I = 0>
constexpr char type_of() {
  if constexpr (std::is_same_v<M, std::variant_alternative_t<I, Message>>) {
    return static_cast<char>(I + 1);
  } else {
    return type_of<M, I + 1>();
  }
}

}  // namespace weft::runner

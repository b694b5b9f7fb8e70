// SPDX-License-Identifier: MIT
// The values of every enumeration on the wire, numbered from 0: append only. A value that is not listed here
// comes from a newer minor version. It is read as `unknown`, which is refused and never acted on.
#pragma once

#include "common/wire/field.hpp"
#include "common/wire/messages.hpp"

namespace weft::wire {

template <>
struct Enumeration<TaskKind> {
  static constexpr std::string_view name = "TaskKind";
  static constexpr std::array values{
      Enumerator{"program", "a function of the program that the client ships"},
      Enumerator{"library", "the function called `function` in a task library that the worker has loaded"},
      Enumerator{"command", "any executable; the payload holds its arguments and its input"},
      Enumerator{"attached", "nothing runs: requests the answer of the detached task that the payload names"},
  };
};

template <>
struct Enumeration<Outcome> {
  static constexpr std::string_view name = "Outcome";
  static constexpr std::array values{
      Enumerator{"ok"},
      Enumerator{
          "failed",
          "the function threw, or the call does not match: no such task, another signature, other arguments"},
      Enumerator{"crashed", "its runner or its worker was lost while it ran"},
      Enumerator{"timed_out", "it ran longer than `timeout_ms`"},
      Enumerator{"cancelled"},
      Enumerator{"cannot_start", "its program or library does not start on this worker"},
      Enumerator{"unschedulable", "from the broker: `queue_timeout_ms` has passed"},
      Enumerator{"not_fetched", "this worker could not fetch its program or argument; neither is at fault"},
      Enumerator{"refused", "from the broker: it cannot guarantee what the task asks for"},
  };
};

template <>
struct Enumeration<RefuseCode> {
  static constexpr std::string_view name = "RefuseCode";
  static constexpr std::array values{
      Enumerator{"version", "the major version differs"},
      Enumerator{"name_taken", "another worker has this name"},
      Enumerator{"unknown_peer", "this broker does not know the connection: send HELLO first"},
      Enumerator{"malformed", "the message cannot be decoded"},
      Enumerator{"not_allowed", "the message is valid, but not from this role or in this state"},
  };
};

template <>
struct Enumeration<DeliveryKind> {
  static constexpr std::string_view name = "DeliveryKind";
  static constexpr std::array values{
      Enumerator{"final", "the answer; exactly one for each task"},
      Enumerator{"charged", "an attempt counted against retries or crashes; the task goes on"},
  };
};

template <>
struct Enumeration<RevokeMode> {
  static constexpr std::string_view name = "RevokeMode";
  static constexpr std::array values{
      Enumerator{"cancel", "stop it in any state; answered by RESULTS (cancelled, or an earlier outcome)"},
      Enumerator{"retract", "return it unless it has started; answered by RETURNED, or later by RESULTS"},
  };
};

template <>
struct Enumeration<ClaimState> {
  static constexpr std::string_view name = "ClaimState";
  static constexpr std::array values{
      Enumerator{"queued", "it has not started"},
      Enumerator{"running", "it has started"},
      Enumerator{"done", "it has ended, and its result is in the outbox"},
  };
};

}  // namespace weft::wire

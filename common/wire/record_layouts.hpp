// SPDX-License-Identifier: MIT
// The fields of the records in records.hpp; see layout.hpp.
#pragma once

#include "common/wire/field.hpp"
#include "common/wire/records.hpp"

namespace weft::wire {

template <>
struct Layout<FileRef> {
  WEFT_LAYOUT(FileRef);
  static constexpr bool closed = true;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(name).means(
                     "file name without directories; of a library, the name that the loader looks for"),
                 WEFT_FIELD(id).means("BLAKE2b-256 of its bytes"), WEFT_FIELD(size).in("bytes"));
};

template <>
struct Layout<StartCall> {
  WEFT_LAYOUT(StartCall);
  static constexpr bool closed = true;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(signature).means("of the function, as in a task's spec"),
                 WEFT_FIELD(arguments).means("as of a task"));
};

template <>
struct Layout<TaskSpec> {
  WEFT_LAYOUT(TaskSpec);
  static constexpr bool forwarded = true;
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(kind),
      WEFT_FIELD(program).means("of kind `program`; otherwise an empty name, an id of zeros and size 0"),
      WEFT_FIELD(libraries).means("of kind `program`: the shared objects that ship with it"),
      WEFT_FIELD(function_index).means("of kind `program`: the client's number of the function"),
      WEFT_FIELD(function).means("name for display; for kind `library`, the name of the task"),
      WEFT_FIELD(signature).means("of kind `library`: `long(long,double)`, compared by the runner; of kind "
                                  "`program`: where its code is, and its type (section 9)"),
      WEFT_FIELD(label).optional().means("shown by `weft status`; detached tasks are found by it"),
      WEFT_FIELD(priority).optional().means("higher goes first among the tasks of this client"),
      WEFT_FIELD(retries).optional().means(
          "further attempts after `failed` and `timed_out`, whatever the reason"),
      WEFT_FIELD(retry_delay_ms).optional().in("ms"),
      WEFT_FIELD(timeout_ms).optional().in("ms").means("running time of an attempt; 0: no limit"),
      WEFT_FIELD(queue_timeout_ms).optional().in("ms").means("waiting time; 0: no limit"),
      WEFT_FIELD(crash_limit).optional().means("attempts that may crash; the last of them fails the task"),
      WEFT_FIELD(resources).optional().means("what one task needs of a worker's resources"),
      WEFT_FIELD(workers).optional().means("names or hosts; only these workers run it. Empty: any"),
      WEFT_FIELD(prefer).optional().means("names or hosts that are tried first"),
      WEFT_FIELD(detach).optional().means("it outlives its client (section 8)"),
      WEFT_FIELD(directory)
          .added(1, Weight::essential)
          .means("working directory on the worker's host; empty: the scratch directory of the runner"),
      WEFT_FIELD(threads)
          .added(2, Weight::essential)
          .means(
              "slots of one worker that it takes, at least 1; also the number of threads for its libraries"),
      WEFT_FIELD(environment)
          .added(2, Weight::essential)
          .means("environment variables in addition to those of the worker"),
      WEFT_FIELD(start)
          .added(2, Weight::essential)
          .means(
              "of kind `program`: calls that a runner makes once, before its first task with these calls"));
};

template <>
struct Layout<ErrorInfo> {
  WEFT_LAYOUT(ErrorInfo);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(type).means("type of the exception; empty for errors from the runner or the broker"),
      WEFT_FIELD(message).means("its what(), or how the attempt ended"),
      WEFT_FIELD(worker).optional().means("name"), WEFT_FIELD(host).optional(),
      WEFT_FIELD(signal).optional().means("that ended the runner; 0: none"),
      WEFT_FIELD(exit_code).optional().means("of the runner, when it exited by itself"),
      WEFT_FIELD(started_ms).optional().in("ms since 1970").means("worker's clock; 0: unknown"),
      WEFT_FIELD(ended_ms).optional().in("ms since 1970"),
      WEFT_FIELD(stderr_tail).optional().means("the last lines that the runner printed"),
      WEFT_FIELD(directory)
          .added(3, Weight::ignorable)
          .means("where the task ran, on `host`; empty: unknown, or a scratch directory that is gone"));
};

template <>
struct Layout<Attempt> {
  WEFT_LAYOUT(Attempt);
  static constexpr bool closed = true;
  static constexpr auto fields = std::tuple(WEFT_FIELD(epoch).means("of the broker that assigned it"),
                                            WEFT_FIELD(number).means("assigned once by that broker"));
};

}  // namespace weft::wire

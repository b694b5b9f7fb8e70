// SPDX-License-Identifier: MIT
// The fields of the messages in question_messages.hpp; see layout.hpp.
#pragma once

#include "common/wire/field.hpp"
#include "common/wire/question_messages.hpp"

namespace weft::wire {

// ---- status ----

template <>
struct Layout<StatusRequest> {
  WEFT_LAYOUT(StatusRequest);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(details).optional().means("false: without the three lists"));
};

template <>
struct Layout<WorkerStatus> {
  WEFT_LAYOUT(WorkerStatus);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(name), WEFT_FIELD(host), WEFT_FIELD(pid),
                 WEFT_FIELD(state).means("`idle`, `busy`, `draining` or `lost`"), WEFT_FIELD(slots),
                 WEFT_FIELD(running).means("tasks, at most `slots`"),
                 WEFT_FIELD(assigned).means("tasks, including queued ones"), WEFT_FIELD(resources).optional(),
                 WEFT_FIELD(resources_free).optional(),
                 WEFT_FIELD(finished).optional().means("attempts since it joined"),
                 WEFT_FIELD(heard_ms_ago).optional().in("ms"),
                 WEFT_FIELD(note).optional().means("what is wrong with it; empty: nothing"));
};

template <>
struct Layout<ClientStatus> {
  WEFT_LAYOUT(ClientStatus);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(name), WEFT_FIELD(host), WEFT_FIELD(session).means("the first 8 hexadecimal digits"),
      WEFT_FIELD(state).means("`connected`, `silent`, `lost`, `leaving` or `detached`"), WEFT_FIELD(queued),
      WEFT_FIELD(assigned), WEFT_FIELD(finished));
};

template <>
struct Layout<WaitingStatus> {
  WEFT_LAYOUT(WaitingStatus);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(client), WEFT_FIELD(label), WEFT_FIELD(tasks),
                 WEFT_FIELD(reason).means("why they wait although there are workers, in one sentence"));
};

template <>
struct Layout<Status> {
  WEFT_LAYOUT(Status);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(version).means("of the program: `0.1.0`"), WEFT_FIELD(epoch), WEFT_FIELD(uptime_ms).in("ms"),
      WEFT_FIELD(workers), WEFT_FIELD(slots), WEFT_FIELD(slots_busy), WEFT_FIELD(clients),
      WEFT_FIELD(queued).means("tasks"), WEFT_FIELD(assigned).means("tasks"),
      WEFT_FIELD(finished).means("tasks"), WEFT_FIELD(queued_bytes).in("bytes"),
      WEFT_FIELD(worker_list).optional().means("with details only"),
      WEFT_FIELD(client_list).optional().means("with details only"),
      WEFT_FIELD(waiting_list).optional().means("with details only"),
      WEFT_FIELD(departed)
          .added(2, Weight::ignorable)
          .means(
              "with details only: clients that have left recently, why, and how many tasks were cancelled"));
};

// ---- detached tasks ----

template <>
struct Layout<Journaled> {
  WEFT_LAYOUT(Journaled);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seqs).means("detached tasks that survive their client from now on"));
};

template <>
struct Layout<Find> {
  WEFT_LAYOUT(Find);
  static constexpr auto fields = std::tuple(WEFT_FIELD(label));
};

template <>
struct Layout<TaskRef> {
  WEFT_LAYOUT(TaskRef);
  static constexpr bool closed = true;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(seq));
};
template <>
struct Layout<FoundRecord> {
  WEFT_LAYOUT(FoundRecord);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(session), WEFT_FIELD(seq),
                 WEFT_FIELD(sweep).added(2, Weight::ignorable).means("1: the first of `sweeps`; 0: none"),
                 WEFT_FIELD(finished).added(2, Weight::ignorable).means("the broker has its answer"));
};
template <>
struct Layout<Sweep> {
  WEFT_LAYOUT(Sweep);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(session), WEFT_FIELD(client).means("its name"), WEFT_FIELD(host),
                 WEFT_FIELD(function).means("name for display"),
                 WEFT_FIELD(submitted_ms).in("ms since 1970").means("of its first task"));
};
template <>
struct Layout<Found> {
  WEFT_LAYOUT(Found);
  static constexpr auto records = &Found::tasks;
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(label), WEFT_FIELD(total).means("number of tasks, in all messages together"),
      WEFT_FIELD(sweeps)
          .added(2, Weight::ignorable)
          .means("who submitted them, when: tasks of one function and one client; of the first 1,000"));
};

template <>
struct Layout<DrainWorker> {
  WEFT_LAYOUT(DrainWorker);
  static constexpr auto fields = std::tuple(WEFT_FIELD(worker).means("its name"));
};

template <>
struct Layout<Why> {
  WEFT_LAYOUT(Why);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(task).means("`3f2a91c0-17`: first 8 digits of the session, and the number"));
};

template <>
struct Layout<Answer> {
  WEFT_LAYOUT(Answer);
  static constexpr auto fields = std::tuple(WEFT_FIELD(ok), WEFT_FIELD(text).means("for people"));
};

template <>
struct Layout<Leave> {
  WEFT_LAYOUT(Leave);
  static constexpr auto fields = std::tuple();
};

template <>
struct Layout<Fetched> {
  WEFT_LAYOUT(Fetched);
  static constexpr auto records = &Fetched::tasks;
  static constexpr auto fields = std::tuple();
};

}  // namespace weft::wire

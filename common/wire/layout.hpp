// SPDX-License-Identifier: MIT
// The fields of every message in wire order, with their meaning. A batch also has records: each is an array
// that follows the head. field.hpp says how a record may grow.
#pragma once

#include "common/wire/field.hpp"
#include "common/wire/messages.hpp"

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

// ---- presence, both roles ----

template <>
struct Layout<HelloClient> {
  WEFT_LAYOUT(HelloClient);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(session).means("random; identifies this client on all of its connections"),
                 WEFT_FIELD(name).means("shown by `weft status`"), WEFT_FIELD(host), WEFT_FIELD(pid),
                 WEFT_FIELD(epoch).optional().means("of the broker that it joined last; 0: none"),
                 WEFT_FIELD(delivered).optional().means("highest delivery number taken in that epoch"),
                 WEFT_FIELD(give_up_ms)
                     .in("ms")
                     .added(2, Weight::ignorable)
                     .means("how long it waits for a lost broker, and the broker for a silent client"));
};

template <>
struct Layout<HelloWorker> {
  WEFT_LAYOUT(HelloWorker);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(incarnation).means("random; identifies this worker process on all of its connections"),
      WEFT_FIELD(name).means("unique among the workers of a broker"), WEFT_FIELD(host), WEFT_FIELD(pid),
      WEFT_FIELD(slots).means("tasks that it runs at a time, at least 1"),
      WEFT_FIELD(arch).optional().means("`x86_64`"), WEFT_FIELD(libc).optional().means("`glibc 2.36`"),
      WEFT_FIELD(resources).optional().means("amounts, each finite and not negative"),
      WEFT_FIELD(functions).optional().means(
          "names of the tasks in the libraries that it has loaded; it gets calls of these"),
      WEFT_FIELD(memory)
          .in("bytes")
          .added(3, Weight::ignorable)
          .means("for it and its tasks; it gets no larger argument. 0: unknown"));
};

template <>
struct Layout<Welcome> {
  WEFT_LAYOUT(Welcome);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(epoch).means("random, new at each start of the broker; never 0"),
      WEFT_FIELD(heartbeat_ms).in("ms").means("a peer that has sent nothing for this long sends HEARTBEAT"),
      WEFT_FIELD(liveness).means("a peer that is silent for this many intervals is lost"),
      WEFT_FIELD(resumed).optional().means("the broker already has the session or incarnation in this epoch"),
      WEFT_FIELD(received).optional().means("to a client, when resumed: highest task number that arrived"));
};

template <>
struct Layout<Refuse> {
  WEFT_LAYOUT(Refuse);
  static constexpr auto fields = std::tuple(WEFT_FIELD(code), WEFT_FIELD(text).means("for people"));
};

template <>
struct Layout<Heartbeat> {
  WEFT_LAYOUT(Heartbeat);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(hold)
          .added(3, Weight::ignorable)
          .means("from a worker: why it accepts no new tasks (section 6); empty: it accepts tasks"),
      WEFT_FIELD(hold_slots)
          .added(3, Weight::ignorable)
          .means("with `hold`: slots of tasks that it accepts nevertheless"));
};

template <>
struct Layout<Goodbye> {
  WEFT_LAYOUT(Goodbye);
  static constexpr auto fields = std::tuple(WEFT_FIELD(reason).means("for people"));
};

// ---- client to broker ----

template <>
struct Layout<Define> {
  WEFT_LAYOUT(Define);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(spec).means("any number, by which tasks of this session refer to it; never reused"),
      WEFT_FIELD(content));
};

template <>
struct Layout<Forget> {
  WEFT_LAYOUT(Forget);
  static constexpr auto fields = std::tuple(WEFT_FIELD(spec).means("no further task will refer to it"));
};

template <>
struct Layout<SubmitRecord> {
  WEFT_LAYOUT(SubmitRecord);
  static constexpr bool forwarded = true;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seq).means("task number, increasing from 1 in a session"), WEFT_FIELD(spec),
                 WEFT_FIELD(payload).means("its arguments"));
};
template <>
struct Layout<Submit> {
  WEFT_LAYOUT(Submit);
  static constexpr auto records = &Submit::tasks;
  static constexpr auto fields = std::tuple();
};

template <>
struct Layout<ReannounceRecord> {
  WEFT_LAYOUT(ReannounceRecord);
  static constexpr bool forwarded = true;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seq), WEFT_FIELD(spec), WEFT_FIELD(retries_used).means("as in the last DELIVER"),
                 WEFT_FIELD(crashes).means("as in the last DELIVER"),
                 WEFT_FIELD(waited_ms).in("ms").means("of `queue_timeout_ms`, spent under earlier brokers"),
                 WEFT_FIELD(payload));
};
template <>
struct Layout<Reannounce> {
  WEFT_LAYOUT(Reannounce);
  static constexpr auto records = &Reannounce::tasks;
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(cancelled)
          .added(3, Weight::ignorable)
          .means("the client has cancelled them: the broker does not run one that is not in its journal"));
};

template <>
struct Layout<Synced> {
  WEFT_LAYOUT(Synced);
  static constexpr auto fields = std::tuple();
};

template <>
struct Layout<Cancel> {
  WEFT_LAYOUT(Cancel);
  static constexpr auto fields = std::tuple(WEFT_FIELD(seqs).means("tasks whose answers are not needed"));
};

template <>
struct Layout<Ack> {
  WEFT_LAYOUT(Ack);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(delivered).means("the client has this delivery and all before it"));
};

// ---- broker to client ----

template <>
struct Layout<Received> {
  WEFT_LAYOUT(Received);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seq).means("the broker has this task and all before it"));
};

template <>
struct Layout<DeliveryRecord> {
  WEFT_LAYOUT(DeliveryRecord);
  static constexpr bool forwarded = true;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seq), WEFT_FIELD(kind), WEFT_FIELD(outcome),
                 WEFT_FIELD(retries_used).means("after it"), WEFT_FIELD(crashes).means("after it"),
                 WEFT_FIELD(payload).means("the result, or an encoded ErrorInfo"));
};
template <>
struct Layout<Deliver> {
  WEFT_LAYOUT(Deliver);
  static constexpr auto records = &Deliver::records;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(first).means("delivery number of the first record; the others are consecutive"));
};

template <>
struct Layout<Running> {
  WEFT_LAYOUT(Running);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seqs).means("tasks that have been running for a while; for display only"));
};

// ---- broker to worker ----

template <>
struct Layout<DefineFor> {
  WEFT_LAYOUT(DefineFor);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(spec), WEFT_FIELD(content));
};

template <>
struct Layout<ForgetFor> {
  WEFT_LAYOUT(ForgetFor);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(spec));
};

template <>
struct Layout<AssignRecord> {
  WEFT_LAYOUT(AssignRecord);
  static constexpr bool forwarded = true;
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(seq), WEFT_FIELD(number).means("of the attempt; its epoch is that of the connection"),
      WEFT_FIELD(spec), WEFT_FIELD(execution).means("1 + retries used + crashes"),
      WEFT_FIELD(alone).means("in a fresh runner that gets no other task before or with it"),
      WEFT_FIELD(payload));
};
template <>
struct Layout<Assign> {
  WEFT_LAYOUT(Assign);
  static constexpr auto records = &Assign::tasks;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session));
};

template <>
struct Layout<AttemptRecord> {
  WEFT_LAYOUT(AttemptRecord);
  static constexpr auto fields = std::tuple(WEFT_FIELD(seq), WEFT_FIELD(attempt));
};
template <>
struct Layout<Revoke> {
  WEFT_LAYOUT(Revoke);
  static constexpr auto records = &Revoke::tasks;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(mode));
};

template <>
struct Layout<Release> {
  WEFT_LAYOUT(Release);
  static constexpr auto fields = std::tuple(
      WEFT_FIELD(session), WEFT_FIELD(outbox).means("this outbox number and all before it may be dropped"));
};

template <>
struct Layout<Resend> {
  WEFT_LAYOUT(Resend);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session));
};

template <>
struct Layout<EndSession> {
  WEFT_LAYOUT(EndSession);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session));
};

// ---- worker to broker ----

template <>
struct Layout<ClaimRecord> {
  WEFT_LAYOUT(ClaimRecord);
  static constexpr auto fields = std::tuple(WEFT_FIELD(seq), WEFT_FIELD(attempt), WEFT_FIELD(state),
                                            WEFT_FIELD(execution).means("as in its ASSIGN"));
};
template <>
struct Layout<Claims> {
  WEFT_LAYOUT(Claims);
  static constexpr auto records = &Claims::tasks;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session));
};

template <>
struct Layout<Ready> {
  WEFT_LAYOUT(Ready);
  static constexpr auto fields = std::tuple();
};

template <>
struct Layout<ResultRecord> {
  WEFT_LAYOUT(ResultRecord);
  static constexpr bool forwarded = true;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(seq), WEFT_FIELD(number).means("of the attempt"),
                 WEFT_FIELD(run_us).in("us").means("running time"), WEFT_FIELD(outcome),
                 WEFT_FIELD(payload).means("the result, or an encoded ErrorInfo"));
};
template <>
struct Layout<Results> {
  WEFT_LAYOUT(Results);
  static constexpr auto records = &Results::records;
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(session), WEFT_FIELD(epoch).means("of all attempts in the message"),
                 WEFT_FIELD(fresh).means("it begins at the oldest unreleased result (section 5)"),
                 WEFT_FIELD(first).means("outbox number of the first record; the others are consecutive"));
};

template <>
struct Layout<Started> {
  WEFT_LAYOUT(Started);
  static constexpr auto records = &Started::tasks;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session));
};

template <>
struct Layout<Returned> {
  WEFT_LAYOUT(Returned);
  static constexpr auto records = &Returned::tasks;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session));
};

template <>
struct Layout<Draining> {
  WEFT_LAYOUT(Draining);
  static constexpr auto fields = std::tuple();
};

// ---- blobs ----

template <>
struct Layout<Get> {
  WEFT_LAYOUT(Get);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(holder).means("a session or an incarnation"), WEFT_FIELD(id),
                 WEFT_FIELD(offset).in("bytes"), WEFT_FIELD(bytes).in("bytes").means("wanted"));
};

template <>
struct Layout<Data> {
  WEFT_LAYOUT(Data);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(id), WEFT_FIELD(offset).in("bytes"), WEFT_FIELD(bytes));
};

template <>
struct Layout<Gone> {
  WEFT_LAYOUT(Gone);
  static constexpr auto fields = std::tuple(WEFT_FIELD(id), WEFT_FIELD(reason).means("for people"));
};

template <>
struct Layout<Drop> {
  WEFT_LAYOUT(Drop);
  static constexpr auto fields = std::tuple(WEFT_FIELD(holder), WEFT_FIELD(id));
};

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
struct Layout<Kept> {
  WEFT_LAYOUT(Kept);
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

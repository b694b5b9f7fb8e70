// SPDX-License-Identifier: MIT
// The fields of every message in wire order, with their meaning. A batch also has records: each is an array
// that follows the head. field.hpp says how a record may grow.
#pragma once

#include "common/wire/field.hpp"
#include "common/wire/messages.hpp"
#include "common/wire/question_layouts.hpp"
#include "common/wire/record_layouts.hpp"

namespace weft::wire {

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

}  // namespace weft::wire

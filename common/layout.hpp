// SPDX-License-Identifier: MIT
// The fields of every message in wire order: the one table that encoding, decoding and describing
// share, so that they cannot disagree. A batch also has records, each an array of its own behind
// the head.
#pragma once

#include <tuple>

#include "common/messages.hpp"

namespace weft::wire {

template <class T>
struct Layout;

/// A value type that travels as an array of its fields.
template <class T>
concept HasLayout = requires {
  Layout<T>::fields;
};

/// A message that ends in any number of records.
template <class T>
concept Batch = HasLayout<T> && requires {
  Layout<T>::records;
};

/// A batch whose records are numbered from its field `first`.
template <class T>
concept NumberedBatch = Batch<T> && requires(T t) {
  t.first;
};

#define WEFT_LAYOUT(Type, ...)                              \
  template <>                                               \
  struct Layout<Type> {                                     \
    static constexpr const char* name = #Type;              \
    static constexpr auto fields = std::tuple(__VA_ARGS__); \
  }
#define WEFT_BATCH_LAYOUT(Type, member, ...)                \
  template <>                                               \
  struct Layout<Type> {                                     \
    static constexpr const char* name = #Type;              \
    static constexpr auto records = &Type::member;          \
    static constexpr auto fields = std::tuple(__VA_ARGS__); \
  }

WEFT_LAYOUT(FileRef, &FileRef::name, &FileRef::id, &FileRef::size);
WEFT_LAYOUT(TaskSpec, &TaskSpec::kind, &TaskSpec::program, &TaskSpec::libraries, &TaskSpec::function_index,
            &TaskSpec::function, &TaskSpec::signature, &TaskSpec::label, &TaskSpec::priority,
            &TaskSpec::retries, &TaskSpec::retry_delay_ms, &TaskSpec::timeout_ms, &TaskSpec::queue_timeout_ms,
            &TaskSpec::crash_limit, &TaskSpec::resources, &TaskSpec::workers, &TaskSpec::prefer,
            &TaskSpec::detach);
WEFT_LAYOUT(ErrorInfo, &ErrorInfo::type, &ErrorInfo::message, &ErrorInfo::worker, &ErrorInfo::host,
            &ErrorInfo::signal, &ErrorInfo::exit_code, &ErrorInfo::started_ms, &ErrorInfo::ended_ms,
            &ErrorInfo::stderr_tail);
WEFT_LAYOUT(Attempt, &Attempt::epoch, &Attempt::number);

WEFT_LAYOUT(HelloClient, &HelloClient::session, &HelloClient::name, &HelloClient::host, &HelloClient::pid,
            &HelloClient::epoch, &HelloClient::delivered);
WEFT_LAYOUT(HelloWorker, &HelloWorker::incarnation, &HelloWorker::name, &HelloWorker::host, &HelloWorker::pid,
            &HelloWorker::slots, &HelloWorker::arch, &HelloWorker::libc, &HelloWorker::resources,
            &HelloWorker::functions);
WEFT_LAYOUT(Welcome, &Welcome::epoch, &Welcome::heartbeat_ms, &Welcome::liveness, &Welcome::resumed,
            &Welcome::received);
WEFT_LAYOUT(Refuse, &Refuse::code, &Refuse::text);
WEFT_LAYOUT(Heartbeat, );
WEFT_LAYOUT(Goodbye, &Goodbye::reason);

WEFT_LAYOUT(Define, &Define::spec, &Define::content);
WEFT_LAYOUT(Forget, &Forget::spec);
WEFT_LAYOUT(SubmitRecord, &SubmitRecord::seq, &SubmitRecord::spec, &SubmitRecord::payload);
WEFT_BATCH_LAYOUT(Submit, tasks, );
WEFT_LAYOUT(ReannounceRecord, &ReannounceRecord::seq, &ReannounceRecord::spec,
            &ReannounceRecord::retries_used, &ReannounceRecord::crashes, &ReannounceRecord::waited_ms,
            &ReannounceRecord::payload);
WEFT_BATCH_LAYOUT(Reannounce, tasks, );
WEFT_LAYOUT(Synced, );
WEFT_LAYOUT(Cancel, &Cancel::seqs);
WEFT_LAYOUT(Ack, &Ack::delivered);

WEFT_LAYOUT(Received, &Received::seq);
WEFT_LAYOUT(DeliveryRecord, &DeliveryRecord::seq, &DeliveryRecord::kind, &DeliveryRecord::outcome,
            &DeliveryRecord::retries_used, &DeliveryRecord::crashes, &DeliveryRecord::payload);
WEFT_BATCH_LAYOUT(Deliver, records, &Deliver::first);
WEFT_LAYOUT(Running, &Running::seqs);

WEFT_LAYOUT(DefineFor, &DefineFor::session, &DefineFor::spec, &DefineFor::content);
WEFT_LAYOUT(ForgetFor, &ForgetFor::session, &ForgetFor::spec);
WEFT_LAYOUT(AssignRecord, &AssignRecord::seq, &AssignRecord::number, &AssignRecord::spec,
            &AssignRecord::execution, &AssignRecord::alone, &AssignRecord::payload);
WEFT_BATCH_LAYOUT(Assign, tasks, &Assign::session);
WEFT_LAYOUT(AttemptRecord, &AttemptRecord::seq, &AttemptRecord::attempt);
WEFT_BATCH_LAYOUT(Revoke, tasks, &Revoke::session, &Revoke::mode);
WEFT_LAYOUT(Release, &Release::session, &Release::outbox);
WEFT_LAYOUT(Resend, &Resend::session);
WEFT_LAYOUT(EndSession, &EndSession::session);

WEFT_LAYOUT(ClaimRecord, &ClaimRecord::seq, &ClaimRecord::attempt, &ClaimRecord::state,
            &ClaimRecord::execution);
WEFT_BATCH_LAYOUT(Claims, tasks, &Claims::session);
WEFT_LAYOUT(Ready, );
WEFT_LAYOUT(ResultRecord, &ResultRecord::seq, &ResultRecord::number, &ResultRecord::run_us,
            &ResultRecord::outcome, &ResultRecord::payload);
WEFT_BATCH_LAYOUT(Results, records, &Results::session, &Results::epoch, &Results::fresh, &Results::first);
WEFT_BATCH_LAYOUT(Started, tasks, &Started::session);
WEFT_BATCH_LAYOUT(Returned, tasks, &Returned::session);
WEFT_LAYOUT(Draining, );

WEFT_LAYOUT(Get, &Get::holder, &Get::id, &Get::offset, &Get::bytes);
WEFT_LAYOUT(Data, &Data::id, &Data::offset, &Data::bytes);
WEFT_LAYOUT(Gone, &Gone::id, &Gone::reason);
WEFT_LAYOUT(Drop, &Drop::holder, &Drop::id);

WEFT_LAYOUT(StatusRequest, &StatusRequest::details);
WEFT_LAYOUT(WorkerStatus, &WorkerStatus::name, &WorkerStatus::host, &WorkerStatus::pid, &WorkerStatus::state,
            &WorkerStatus::slots, &WorkerStatus::running, &WorkerStatus::assigned, &WorkerStatus::resources,
            &WorkerStatus::resources_free, &WorkerStatus::finished, &WorkerStatus::heard_ms_ago,
            &WorkerStatus::note);
WEFT_LAYOUT(ClientStatus, &ClientStatus::name, &ClientStatus::host, &ClientStatus::session,
            &ClientStatus::state, &ClientStatus::queued, &ClientStatus::assigned, &ClientStatus::finished);
WEFT_LAYOUT(WaitingStatus, &WaitingStatus::client, &WaitingStatus::label, &WaitingStatus::tasks,
            &WaitingStatus::reason);
WEFT_LAYOUT(Status, &Status::version, &Status::epoch, &Status::uptime_ms, &Status::workers, &Status::slots,
            &Status::slots_busy, &Status::clients, &Status::queued, &Status::assigned, &Status::finished,
            &Status::queued_bytes, &Status::worker_list, &Status::client_list, &Status::waiting_list);

WEFT_LAYOUT(Kept, &Kept::seqs);
WEFT_LAYOUT(Find, &Find::label);
WEFT_LAYOUT(TaskRef, &TaskRef::session, &TaskRef::seq);
WEFT_BATCH_LAYOUT(Found, tasks, &Found::label, &Found::total);
WEFT_LAYOUT(DrainWorker, &DrainWorker::worker);
WEFT_LAYOUT(Why, &Why::task);
WEFT_LAYOUT(Answer, &Answer::ok, &Answer::text);
WEFT_LAYOUT(Leave, );
WEFT_BATCH_LAYOUT(Fetched, tasks, );

#undef WEFT_LAYOUT
#undef WEFT_BATCH_LAYOUT

/// Calls f(field) for each field of `value` in wire order.
template <class T, class F>
constexpr void for_each_field(T& value, F&& f) {
  std::apply([&](auto... member) { (f(value.*member), ...); }, Layout<std::remove_const_t<T>>::fields);
}

template <class T>
inline constexpr std::size_t kFieldCount =
    std::tuple_size_v<std::remove_const_t<decltype(Layout<T>::fields)>>;

/// The last valid value of each enumeration on the wire.
constexpr std::uint8_t last_of(TaskKind) { return static_cast<std::uint8_t>(TaskKind::attached); }
constexpr std::uint8_t last_of(Outcome) { return static_cast<std::uint8_t>(Outcome::refused); }
constexpr std::uint8_t last_of(RefuseCode) { return static_cast<std::uint8_t>(RefuseCode::not_allowed); }
constexpr std::uint8_t last_of(DeliveryKind) { return static_cast<std::uint8_t>(DeliveryKind::charged); }
constexpr std::uint8_t last_of(RevokeMode) { return static_cast<std::uint8_t>(RevokeMode::retract); }
constexpr std::uint8_t last_of(ClaimState) { return static_cast<std::uint8_t>(ClaimState::done); }

}  // namespace weft::wire

// SPDX-License-Identifier: MIT
#include "broker/scheduler/attachments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/check.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

namespace {

constexpr std::size_t kSweepsMax = 1000;                   // in FOUND
constexpr Duration kFoundGrace = std::chrono::seconds(5);  // from FOUND until a client has attached

}  // namespace

void Attachments::refuse(Session& session, std::uint64_t seq, std::string why) {
  wire::ErrorInfo info;
  info.message = std::move(why);
  delivery_.deliver(session, {seq, wire::DeliveryKind::final, wire::Outcome::refused, 0, 0,
                              wire::Payload(wire::encode_error(info))});
}

void Attachments::watch(Session& session, std::uint64_t seq, const wire::Payload& payload,
                        std::uint32_t charges_known) {
  const wire::TaskRef named = payload.is_blob() ? wire::TaskRef{} : wire::decode_ref(payload.inline_bytes());
  const TaskId id{named.session, named.seq};
  Session* owner = roster_.find_session(id.session);
  Detached* entry = owner != nullptr ? Durable::find(*owner, id.seq) : nullptr;
  if (entry == nullptr || entry->phase == Detached::Phase::saving) {
    return refuse(
        session, seq,
        fmt::format("there is no detached task {}: its answer was fetched, or kept as long as --keep says",
                    id.text()));
  }
  if (!Identity{session.owner, session.roles}.may_use(owner->owner)) {
    return refuse(
        session, seq,
        fmt::format("detached task {} belongs to '{}', not to '{}'", id.text(), owner->owner, session.owner));
  }
  for (wire::DeliveryRecord charge : entry->charges) {
    if (charge.retries_used + charge.crashes <= charges_known) continue;
    charge.seq = seq;
    delivery_.deliver(session, std::move(charge));
  }
  const TaskId watcher{session.id, seq};
  const bool finished = entry->phase == Detached::Phase::finished;
  if (finished && entry->is_had_by(session.id))
    return durable_.deliver_copy(session, seq, *entry);  // the entry stays
  if (std::find(entry->watchers.begin(), entry->watchers.end(), watcher) == entry->watchers.end())
    entry->watchers.push_back(watcher);
  session.watches[seq] = id;
  if (finished) return durable_.deliver_copy(session, seq, *entry);
  const Task* task = owner->tasks.find(id.seq);
  if (task != nullptr && task->state == TaskState::running) step_.send(session.peer, wire::Running{{seq}});
}

void Attachments::stop_watching(Session& session) {
  for (const auto& [seq, id] : std::exchange(session.watches, {})) {
    Session* const owner = roster_.find_session(id.session);
    Detached* const entry = owner != nullptr ? Durable::find(*owner, id.seq) : nullptr;
    if (entry == nullptr) continue;
    std::erase(entry->watchers, TaskId{session.id, seq});
    durable_.drop_when_free(*owner, id.seq);
  }
}

void Attachments::renew_found_grace(Time stepped) const {
  for (const auto& [id, session] : roster_.sessions()) {
    for (auto& [seq, entry] : session->detached) {
      if (entry.found_until > stepped) entry.found_until = step_.now() + kFoundGrace;
    }
  }
}

wire::Found Attachments::find(const Identity& identity, const wire::Find& question, std::uint8_t minor) {
  constexpr std::uint8_t kKnowsSweeps = 2;
  wire::Found found{.label = question.label};
  std::vector<std::pair<std::uint64_t, Session*>> sessions;  // in the order in which they joined
  for (const auto& [id, session] : roster_.sessions()) {
    if (!session->detached.empty() && identity.may_use(session->owner))
      sessions.emplace_back(session->serial, session.get());
  }
  std::sort(sessions.begin(), sessions.end());
  for (const auto& [serial, session] : sessions) {
    std::map<std::string_view, std::uint32_t> sweeps;  // of this session, by function
    for (auto& [seq, entry] : session->detached) {
      const wire::TaskSpec& spec = entry.spec->content;
      if (entry.phase == Detached::Phase::saving || entry.fetched || spec.label != question.label) continue;
      entry.found_until = step_.now() + kFoundGrace;
      wire::FoundRecord task{.session = session->id, .seq = seq};
      if (minor >= kKnowsSweeps) {
        task.finished = entry.phase == Detached::Phase::finished;
        const auto [sweep, added] = sweeps.try_emplace(spec.function, 0);
        if (added && found.sweeps.size() < kSweepsMax) {
          found.sweeps.push_back(
              {session->id, session->name, session->host, spec.function.substr(0, 200), entry.submitted_ms});
          sweep->second = static_cast<std::uint32_t>(found.sweeps.size());
        }
        task.sweep = sweep->second;
      }
      found.tasks.push_back(task);
    }
  }
  found.total = found.tasks.size();
  return found;
}

void Attachments::check_invariants() const {
  for (const auto& [id, session] : roster_.sessions()) {
    for (const auto& [seq, watched] : session->watches) {
      Session* const owner = roster_.find_session(watched.session);
      const Detached* const entry = owner != nullptr ? Durable::find(*owner, watched.seq) : nullptr;
      WEFT_CHECK(entry != nullptr);
      const TaskId watcher{id, seq};
      WEFT_CHECK(std::count(entry->watchers.begin(), entry->watchers.end(), watcher) == 1);
    }
    for (const auto& [seq, entry] : session->detached) {
      for (const TaskId& watcher : entry.watchers) {
        const Session* const other = roster_.find_session(watcher.session);
        WEFT_CHECK(other != nullptr);
        const auto watched = other->watches.find(watcher.seq);
        WEFT_CHECK(watched != other->watches.end() && watched->second == (TaskId{id, seq}));
      }
    }
  }
}

}  // namespace weft::broker

// SPDX-License-Identifier: MIT
#include "broker/scheduler/specs.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "broker/scheduler/fair_queue.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

Spec* Specs::find(Session& session, std::uint32_t number) {
  const auto found = session.specs.find(number);
  return found != session.specs.end() ? found->second.get() : nullptr;
}

Spec& Specs::define(Session& session, std::uint32_t number, const wire::TaskSpec& content,
                    std::string refusal) {
  auto spec = std::make_unique<Spec>();
  spec->number = number;
  spec->content = content;
  spec->refusal = std::move(refusal);
  Placement placement{content.priority,  content.resources, content.workers, content.prefer, "",
                      content.program.id};
  placement.threads = spec->slots = std::max(1U, content.threads);
  if (content.kind == wire::TaskKind::library) placement.library_function = content.function;
  placement.detach = content.detach;
  if (const auto requirement = wire::required_beyond(content, 0))
    spec->minor = placement.minor = requirement->minor;
  spec->queue = &FairQueue::queue_for(session, placement);
  if (content.kind == wire::TaskKind::program) {
    blobs_.add_program(session.id, content.program.id);
    for (const wire::FileRef& library : content.libraries) blobs_.add_program(session.id, library.id);
  }
  return *session.specs.emplace(number, std::move(spec)).first->second;
}

void Specs::forget(Session& session, std::uint32_t number) {
  Spec* const spec = find(session, number);
  if (spec == nullptr) return;
  spec->forgotten = true;
  if (spec->open_tasks == 0) remove(session, number);
}

void Specs::release(Session& session, Spec& spec) {
  if (--spec.open_tasks == 0 && spec.forgotten) remove(session, spec.number);
}

void Specs::remove(Session& session, std::uint32_t number) {
  for (const auto& [id, worker] : roster_.workers()) {
    WorkerSession* const known = worker->sessions.find(session.id);
    if (known == nullptr || known->specs.erase(number) == 0) continue;
    known->spec_sent.erase(number);
    worker->last_spec_session = 0;
    step_.send(worker->peer, wire::ForgetFor{session.id, number});
  }
  for (const BlobId& id : session.specs.at(number)->holds) blob_vault_.release(id, step_.actions());
  session.specs.erase(number);
}

void Specs::release_blobs_of(Session& session) {
  for (auto& [number, spec] : session.specs) {
    for (const BlobId& id : std::exchange(spec->holds, {})) blob_vault_.release(id, step_.actions());
  }
}

void Specs::send_unless_known(Worker& worker, const Session& session, const Spec& spec) {
  WorkerSession& known = worker.sessions.of(session.id);
  if (known.spec_sent.insert(spec.number).second) {
    known.specs.insert(spec.number);
    step_.send(worker.peer, wire::DefineFor{session.id, spec.number, spec.content});
  }
  worker.last_spec_session = session.serial;
  worker.last_spec_sent = spec.number;
}

}  // namespace weft::broker

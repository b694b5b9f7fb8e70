// SPDX-License-Identifier: MIT
// Tables: all that the scheduler remembers of peers, tasks and workers, each piece in the class that owns it.
// Each class uses only those before it. The classes above them (Lifecycle, Assigner, ...) have the rules, and
// next to no state; they are constructed with a reference to this struct.
#pragma once

#include "broker/scheduler/adoption.hpp"
#include "broker/scheduler/attachments.hpp"
#include "broker/scheduler/blob_traffic.hpp"
#include "broker/scheduler/blob_vault.hpp"
#include "broker/scheduler/delivery.hpp"
#include "broker/scheduler/durable.hpp"
#include "broker/scheduler/eligibility.hpp"
#include "broker/scheduler/fair_queue.hpp"
#include "broker/scheduler/journal_queue.hpp"
#include "broker/scheduler/placer.hpp"
#include "broker/scheduler/roster.hpp"
#include "broker/scheduler/settings.hpp"
#include "broker/scheduler/specs.hpp"
#include "broker/scheduler/step.hpp"
#include "broker/scheduler/worker_health.hpp"

namespace weft::broker {

struct Tables {
  /// `settings` outlives the tables. `now` is when this broker was started.
  Tables(const Settings& settings, Time now)
      : step(roster, now, settings.unix_us_at_zero),
        journal_queue(settings.journal_queue),
        blob_vault(settings.blob_vault),
        eligibility(settings, roster, step),
        fair_queue(settings, roster, eligibility),
        placer(settings, roster, eligibility, step),
        health(settings, roster, step),
        delivery(settings, roster, fair_queue, step),
        adoption(settings, roster, delivery, placer, step),
        blobs(settings, roster, adoption, blob_vault, step),
        specs(roster, blob_vault, blobs, step),
        durable(settings, roster, delivery, specs, journal_queue, blob_vault, step),
        attachments(roster, delivery, durable, step) {}

  /// Aborts if an invariant of one of the classes is broken.
  void check_invariants() const;

  Roster roster;
  Step step;
  JournalQueue journal_queue;
  BlobVault blob_vault;
  Eligibility eligibility;
  FairQueue fair_queue;
  Placer placer;
  WorkerHealth health;
  Delivery delivery;
  Adoption adoption;
  BlobTraffic blobs;
  Specs specs;
  Durable durable;
  Attachments attachments;
};

}  // namespace weft::broker

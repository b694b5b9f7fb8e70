// SPDX-License-Identifier: MIT
#include "broker/scheduler/tables.hpp"

namespace weft::broker {

void Tables::check_invariants() const {
  roster.check_invariants();
  journal_queue.check_invariants();
  blob_vault.check_invariants();
  fair_queue.check_invariants();
  placer.check_invariants();
  durable.check_invariants();
  attachments.check_invariants();
}

}  // namespace weft::broker

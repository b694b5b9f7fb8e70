// SPDX-License-Identifier: MIT
#include "broker/scheduler/worker_health.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::broker {

bool WorkerHealth::note_failure(Worker& worker) {
  constexpr Duration kBetweenChecks = std::chrono::milliseconds(10);  // a check visits all workers
  worker.outcomes.add(true);
  if (worker.outcomes.failed() < kBadMin || step_.now() < next_check_) return false;
  next_check_ = step_.now() + kBetweenChecks;
  return true;
}

std::vector<WorkerHealth::Bad> WorkerHealth::find_bad() const {
  constexpr std::uint32_t kElsewhereMin = 5;  // attempts on other workers, for a comparison
  constexpr double kManyFail = 0.8;
  constexpr double kFewFail = 0.2;
  std::uint64_t count = 0;
  std::uint64_t failed = 0;
  bool any = false;
  for (const auto& [id, worker] : roster_.workers()) {
    count += worker->outcomes.count();
    failed += worker->outcomes.failed();
    any = any || (worker->outcomes.failed() >= kBadMin && !worker->avoided);
  }
  std::vector<Bad> bad;
  if (!any) return bad;
  for (const auto& [id, worker] : roster_.workers()) {
    const Outcomes& here = worker->outcomes;
    if (here.count() == Outcomes::kMax && here.failed() < kFewFail * Outcomes::kMax)
      worker->avoided_for = Duration(0);  // it has recovered
    if (worker->avoided || here.failed() < kBadMin || here.failed() < kManyFail * here.count()) continue;
    const std::uint64_t count_elsewhere = count - here.count();
    const std::uint64_t failed_elsewhere = failed - here.failed();
    if (count_elsewhere < kElsewhereMin) continue;
    const double share = static_cast<double>(failed_elsewhere) / static_cast<double>(count_elsewhere);
    if (share < kFewFail) bad.push_back({worker.get(), share});
  }
  return bad;
}

void WorkerHealth::avoid(const Bad& bad) {
  Worker& worker = *bad.worker;
  worker.avoided = true;
  worker.avoided_for = std::clamp(worker.avoided_for * 2, settings_.avoid, settings_.avoid_max);
  worker.avoided_until = step_.now() + worker.avoided_for;
  step_.start_timer(worker.avoided_until, TimerKind::avoided, worker.hello.incarnation);
  worker.note = why_avoided(worker);
  step_.notify({.kind = NoticeKind::worker_avoided,
                .name = worker.hello.name,
                .place = worker.hello.host,
                .detail = worker.note,
                .numbers = {static_cast<std::uint64_t>(bad.failed_elsewhere * 100 + 0.5)}});
}

bool WorkerHealth::end_avoidance(Worker& worker) const {
  if (!worker.avoided || worker.avoided_until > step_.now()) return false;
  worker.avoided = false;
  worker.outcomes.keep(kBadMin - 1);  // so that one more failure can bring avoidance back
  return true;
}

std::string WorkerHealth::why_avoided(const Worker& worker) const {
  return fmt::format("{} of its last {} attempts failed, and few elsewhere: it gets nothing new for {:.0f} s",
                     worker.outcomes.failed(), worker.outcomes.count(),
                     static_cast<double>((worker.avoided_until - step_.now()).count()) / 1e6);
}

}  // namespace weft::broker

// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "worker/core/events.hpp"

namespace weft::worker {

namespace {

std::string line(const OpenLink&) { return "open link"; }
std::string line(const CloseLink&) { return "close link"; }
std::string line(const Send& a) { return "send " + wire::describe(*a.message); }
std::string line(const StartRunner& a) {
  return fmt::format("start runner {} in slot {}: {}", a.runner, a.slot, a.program.file.name);
}
std::string line(const RunTask& a) {
  return fmt::format("run {} as task {} of runner {}, execution {} {}", a.id.text(), a.ordinal, a.runner,
                     a.execution, a.indices ? indices_text(*a.indices) : "");
}
std::string line(const RequestStop& a) {
  return fmt::format("ask task {} of runner {} to stop", a.ordinal, a.runner);
}
std::string line(const TakeBackTasks& a) {
  return fmt::format("take back the tasks that runner {} has not started", a.runner);
}
std::string line(const EndRunner& a) { return fmt::format("end runner {}", a.runner); }
std::string line(const KillRunner& a) {
  return fmt::format("kill runner {} by signal {}", a.runner, a.signal);
}
std::string line(const FindBlob& a) { return fmt::format("find {} of {} B", a.id.text(8), a.size); }
std::string line(const StoreChunk& a) {
  return fmt::format("store {} B at {} of {}", a.bytes.size(), a.offset, a.id.text(8));
}
std::string line(const VerifyBlob& a) { return "verify " + a.id.text(8); }
std::string line(const ServeChunk& a) {
  return fmt::format("serve {} B at {} of {}", a.get.bytes, a.get.offset, a.get.id.text(8));
}
std::string line(const DropBlob& a) { return "drop " + a.id.text(8); }
std::string line(const Notify& a) { return "log: " + text_of(*a.notice); }
std::string line(const Exit& a) { return fmt::format("exit {}: {}", a.code, a.reason); }

std::string line(const LinkUp&) { return "link up"; }
std::string line(const LinkDown& e) { return "link down: " + e.reason; }
std::string line(const Received& e) { return "received " + wire::describe(*e.message); }
std::string line(const RunnerReady& e) { return fmt::format("runner {} is ready", e.runner); }
std::string line(const RunnerFailedToStart& e) {
  return fmt::format("runner {} did not start: {}", e.runner, e.text);
}
std::string line(const TaskStarted& e) {
  return fmt::format("task {} of runner {} has begun", e.ordinal, e.runner);
}
std::string line(const TaskFinished& e) {
  return fmt::format("task {} of runner {} ended, outcome {}, {} us", e.ordinal, e.runner,
                     static_cast<int>(e.outcome), e.run_us);
}
std::string line(const TasksTakenBack& e) {
  return fmt::format("runner {} has started its tasks up to {} and starts no others", e.runner, e.started);
}
std::string line(const RunnerBroken& e) { return fmt::format("runner {} is broken: {}", e.runner, e.text); }
std::string line(const RunnerDied& e) {
  return fmt::format("runner {} died: signal {}, exit code {}, started {}", e.runner, e.signal, e.exit_code,
                     e.started);
}
std::string line(const BlobReady& e) { return e.id.text(8) + " is ready"; }
std::string line(const BlobMissing& e) { return e.id.text(8) + " is missing"; }
std::string line(const BlobBad& e) { return e.id.text(8) + " is bad: " + e.reason; }
std::string line(const MemoryUsed& e) {
  return fmt::format("{} of {} B are used of {}", e.used, e.limit, e.of);
}
std::string line(const Drain&) { return "drain"; }
std::string line(const Stop&) { return "stop"; }
std::string line(const Tick&) { return "tick"; }

}  // namespace

std::string describe(const Action& action) {
  return std::visit([](const auto& a) { return line(a); }, action);
}
std::string describe(const Event& event) {
  return std::visit([](const auto& e) { return line(e); }, event);
}

}  // namespace weft::worker

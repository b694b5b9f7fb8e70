// SPDX-License-Identifier: MIT
#include "client/cli/status_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

namespace weft::client {

namespace {

using Row = std::vector<std::string>;

/// Formats rows with columns as wide as their widest cell.
std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format(" {:<{}}", row[i], widths[i]);
    line.resize(line.find_last_not_of(' ') + 1);
    out += line;
    out += '\n';
  }
  return out;
}

std::string duration_text(std::uint64_t ms) {
  const std::uint64_t s = ms / 1000;
  if (s < 60) return fmt::format("{}.{} s", s, ms % 1000 / 100);
  if (s < 3600) return fmt::format("{}:{:02} min", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02} h", s / 3600, s / 60 % 60, s % 60);
}

std::string resources_text(const wire::WorkerStatus& worker) {
  std::string out;
  for (const auto& [name, amount] : worker.resources) {
    const auto free = worker.resources_free.find(name);
    out += fmt::format("{}{}={} ({} free)", out.empty() ? "" : ", ", name, amount,
                       free != worker.resources_free.end() ? free->second : 0.0);
  }
  return out;
}

std::string count_text(std::uint64_t number, const char* noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

}  // namespace

std::string ping_text(const std::string& address, const wire::Status& status) {
  return fmt::format("weft-broker {} at {}: epoch {:016x}, up {}, {} with {}, {} busy\n", status.version,
                     address, status.epoch, duration_text(status.uptime_ms),
                     count_text(status.workers, "worker"), count_text(status.slots, "slot"),
                     status.slots_busy);
}

std::string status_text(const std::string& address, const wire::Status& status) {
  std::string out = ping_text(address, status);
  out += fmt::format("tasks: {} queued ({} B), {} with workers, {} finished\n", status.queued,
                     status.queued_bytes, status.assigned, status.finished);
  std::vector<Row> rows{
      {"WORKER", "HOST", "PID", "STATE", "SLOTS", "RUNNING", "ASSIGNED", "FINISHED", "HEARD", "RESOURCES"}};
  for (const wire::WorkerStatus& worker : status.worker_list) {
    rows.push_back({worker.name, worker.host, std::to_string(worker.pid), worker.state,
                    std::to_string(worker.slots), std::to_string(worker.running),
                    std::to_string(worker.assigned), std::to_string(worker.finished),
                    fmt::format("{} ago", duration_text(worker.heard_ms_ago)), resources_text(worker)});
  }
  out += rows.size() > 1 ? fmt::format("\n{}", table(rows))
                         : fmt::format("\nno workers: start one with weft-worker {}\n", address);

  for (const wire::WorkerStatus& worker : status.worker_list) {
    if (!worker.note.empty()) out += fmt::format("  worker {}: {}\n", worker.name, worker.note);
  }

  if (!status.client_list.empty()) {
    rows = {{"CLIENT", "HOST", "SESSION", "STATE", "QUEUED", "ASSIGNED", "FINISHED"}};
    for (const wire::ClientStatus& client : status.client_list) {
      rows.push_back({client.name, client.host, client.session, client.state, std::to_string(client.queued),
                      std::to_string(client.assigned), std::to_string(client.finished)});
    }
    out += fmt::format("\n{}", table(rows));
  }
  if (!status.waiting_list.empty()) {
    out += "\ntasks that wait for more than a free slot:\n";
    for (const wire::WaitingStatus& waiting : status.waiting_list) {
      out += fmt::format("  {} of {}{}: {}\n", count_text(waiting.tasks, "task"), waiting.client,
                         waiting.label.empty() ? "" : fmt::format(" ({})", waiting.label), waiting.reason);
    }
  }
  if (!status.departed.empty()) {
    out += "\nclients that have left, and what was open:\n";
    for (const std::string& departed : status.departed) out += fmt::format("  {}\n", departed);
  }
  return out;
}

std::string status_json(const std::string& address, const wire::Status& status) {
  nlohmann::ordered_json root = {
      {"address", address},
      {"version", status.version},
      // as a string, since JavaScript would round a number of 64 bits
      {"epoch", fmt::format("{:016x}", status.epoch)},
      {"uptime_ms", status.uptime_ms},
      {"slots", status.slots},
      {"slots_busy", status.slots_busy},
      {"queued", status.queued},
      {"assigned", status.assigned},
      {"finished", status.finished},
      {"queued_bytes", status.queued_bytes},
      {"workers", nlohmann::ordered_json::array()},
      {"clients", nlohmann::ordered_json::array()},
      {"waiting", nlohmann::ordered_json::array()},
      {"departed", status.departed},
  };
  for (const wire::WorkerStatus& worker : status.worker_list) {
    root["workers"].push_back({{"name", worker.name},
                               {"host", worker.host},
                               {"pid", worker.pid},
                               {"state", worker.state},
                               {"slots", worker.slots},
                               {"running", worker.running},
                               {"assigned", worker.assigned},
                               {"finished", worker.finished},
                               {"heard_ms_ago", worker.heard_ms_ago},
                               {"note", worker.note},
                               {"resources", worker.resources},
                               {"resources_free", worker.resources_free}});
  }
  for (const wire::ClientStatus& client : status.client_list) {
    root["clients"].push_back({{"name", client.name},
                               {"host", client.host},
                               {"session", client.session},
                               {"state", client.state},
                               {"queued", client.queued},
                               {"assigned", client.assigned},
                               {"finished", client.finished}});
  }
  for (const wire::WaitingStatus& waiting : status.waiting_list) {
    root["waiting"].push_back({{"client", waiting.client},
                               {"label", waiting.label},
                               {"tasks", waiting.tasks},
                               {"reason", waiting.reason}});
  }
  // Names come from other machines and may not be valid UTF-8.
  return root.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).append("\n");
}

}  // namespace weft::client

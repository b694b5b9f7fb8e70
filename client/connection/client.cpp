// SPDX-License-Identifier: MIT
#include "weft/client.hpp"

#include <stdexcept>

#include "client/connection/connection.hpp"
#include "client/connection/query.hpp"
#include "client/connection/uncaught.hpp"
#include "weft/init.hpp"

namespace weft {

Client::Client(std::string address) : Client(ClientOptions{.address = std::move(address)}) {}

Client::Client(ClientOptions options) {
  init();
  // A static Client in a runner: main, which serves the tasks, has not been called yet.
  if (in_runner()) return;
  client::report_uncaught_errors();
  owned_connection_ = std::make_unique<detail::Connection>(std::move(options));
  connection_ = owned_connection_.get();
}

Client::~Client() = default;

ClientWith Client::with(TaskOptions options) {
  detail::check_options(options);
  return ClientWith(connection_, std::make_shared<const TaskOptions>(std::move(options)));
}

void Client::flush() {
  if (connection_ == nullptr) throw Error("this weft::Client is not connected: it was made in a weft runner");
  connection_->check_usable();
  connection_->inbox()->settle(std::nullopt, true);
  if (const auto refusals = connection_->inbox()->take_refusals(); refusals.tasks > 0)
    throw Error(detail::text_of(refusals));
}

ClusterInfo Client::cluster() {
  if (connection_ == nullptr) throw Error("this weft::Client is not connected: it was made in a weft runner");
  connection_->check_usable();
  const wire::Status status = client::query_status(connection_->address(), true, std::chrono::seconds(10));
  ClusterInfo info{.version = status.version,
                   .epoch = status.epoch,
                   .uptime = std::chrono::milliseconds(status.uptime_ms),
                   .clients = status.clients,
                   .slots = status.slots,
                   .slots_busy = status.slots_busy,
                   .tasks_queued = status.queued,
                   .tasks_assigned = status.assigned,
                   .tasks_finished = status.finished,
                   .workers = {}};
  for (const wire::WorkerStatus& worker : status.worker_list) {
    info.workers.push_back({.name = worker.name,
                            .host = worker.host,
                            .pid = worker.pid,
                            .state = worker.state,
                            .slots = worker.slots,
                            .running = worker.running,
                            .assigned = worker.assigned,
                            .finished = worker.finished,
                            .resources = worker.resources,
                            .resources_free = worker.resources_free});
  }
  return info;
}

Future<CommandResult> Submitter::command(std::vector<std::string> argv, std::string input) {
  if (argv.empty() || argv.front().empty()) {
    throw std::invalid_argument("command: argv must begin with the name of a program");
  }
  const std::string name = argv.front().substr(0, 200);  // only for display; the request has all of argv
  const detail::CommandRequest request{.argv = std::move(argv), .input = std::move(input)};
  return submit_target<CommandResult>({.kind = detail::CallKind::command, .function = name},
                                      detail::encode(request));
}

}  // namespace weft

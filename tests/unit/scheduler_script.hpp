// SPDX-License-Identifier: MIT
// SchedulerScript: a Harness that is driven by the commands of a scenario file (tests/scenarios/*.txt):
//
//   broker [max_client_silence=10s] [journal]     a new world with a broker of epoch 2
//   restart                                       the broker is killed and started with the next epoch
//   client NAME [delivered=7] [synced]            HELLO on a new connection; SYNCED
//   known NAME                                    a client that only claims of workers mention
//   worker NAME [slots=2] [gpu=1] [ready]         HELLO on a new connection; READY, without claims
//   define CLIENT SPEC [retries=1] [crash_limit=1] [retry_delay=5s] [queue_timeout=5s] [gpu=1] [detach]
//   submit CLIENT [SPEC] [count=3]                tasks with the next numbers
//   announce CLIENT TASK [spec=1] [retries=1] [crashes=1] [waited=4s]      REANNOUNCE
//   synced | goodbye | draining NAME
//   ready WORKER
//   cancel CLIENT TASK
//   ack CLIENT DELIVERY
//   claim WORKER CLIENT TASK STATE [attempt=EPOCH/NUMBER] [execution=1]    CLAIMS
//   started | returned WORKER CLIENT TASK [attempt=...]
//   result WORKER CLIENT TASK OUTCOME [attempt=...] [again]    RESULTS; again: the oldest in the outbox
//   disconnect NAME                               its connection breaks
//   advance 1500ms                                time passes; connected peers send heartbeats
//   freeze 60s                                    the broker's process is frozen
//   commit                                        the disk performs its orders
//   status                                        tasks, and free resources
//
// Without `attempt`, a command means the attempt that the worker was assigned last, by any broker. The output
// is what the broker sends, with milliseconds since `broker`, without heartbeats and log lines.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tests/support/scenario_file.hpp"
#include "tests/unit/scheduler_harness.hpp"

namespace weft::broker {

class SchedulerScript {
 public:
  /// Performs a command and returns its output, a line for each action.
  std::string perform(support::ScenarioCommand& words);

 private:
  using Words = support::ScenarioCommand;
  using Command = void (SchedulerScript::*)(Words&);

  void new_world(Words& words);
  void restart(Words& words);
  void client(Words& words);
  void known(Words& words);
  void worker(Words& words);
  void define(Words& words);
  void submit(Words& words);
  void announce(Words& words);
  void synced(Words& words);
  void goodbye(Words& words);
  void draining(Words& words);
  void ready(Words& words);
  void cancel(Words& words);
  void ack(Words& words);
  void claim(Words& words);
  void started(Words& words);
  void returned(Words& words);
  void result(Words& words);
  void disconnect(Words& words);
  void advance(Words& words);
  void freeze(Words& words);
  void commit(Words& words);
  void status(Words& words);
  void start(TestDisk disk);

  TestClient& make_client(const std::string& name);
  TestClient& client_of(const std::string& name);
  TestWorker& worker_of(const std::string& name);
  wire::Attempt attempt_of(Words& words);
  TaskId task_of(Words& words);
  void see(Time time, const Action& action);
  void write(Time time, const std::string& line);
  std::string name_of(PeerId peer) const;
  std::string name_of(const Uuid& session) const;
  std::string name_of(const Uuid& session, std::uint64_t seq) const;
  std::string describe(const wire::Message& message) const;

  static const std::map<std::string, Command> kCommands;
  Settings settings_;
  std::unique_ptr<Harness> h_;
  Duration past_{};  // time that earlier brokers have lived
  std::map<std::string, TestClient> clients_;
  std::map<std::string, TestWorker> workers_;
  std::map<std::pair<std::string, TaskId>, wire::Attempt> assigned_;  // from any broker
  std::string output_;
};

}  // namespace weft::broker

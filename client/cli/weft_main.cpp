// SPDX-License-Identifier: MIT
// weft: queries and measures a running cluster, drains workers, and brings clusters up.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "client/cli/bench_command.hpp"
#include "client/cli/cache_command.hpp"
#include "client/cli/status_text.hpp"
#include "client/cluster/cluster_command.hpp"
#include "client/cluster/run_command.hpp"
#include "client/connection/connection.hpp"
#include "client/connection/query.hpp"
#include "common/system/option_units.hpp"
#include "common/system/program_cache.hpp"
#include "common/system/standard_files.hpp"

namespace {

constexpr int kUsage = 2;

void ping(const std::string& address, std::chrono::milliseconds timeout) {
  const weft::wire::Status status = weft::client::query_status(address, false, timeout);
  fmt::print("{}", weft::client::ping_text(address, status));
}

void show_status(const std::string& address, std::chrono::milliseconds timeout, bool json) {
  const weft::wire::Status status = weft::client::query_status(address, true, timeout);
  fmt::print("{}",
             json ? weft::client::status_json(address, status) : weft::client::status_text(address, status));
}

/// False: the broker has refused.
bool print_answer(const std::string& address, std::chrono::milliseconds timeout,
                  const weft::wire::Message& question) {
  const weft::wire::Answer answer = weft::client::query_answer(address, question, timeout);
  fmt::print(answer.ok ? stdout : stderr, "{}{}\n", answer.ok ? "" : "weft: ", answer.text);
  return answer.ok;
}

/// Returns when no worker has this name.
void wait_until_left(const std::string& address, std::chrono::milliseconds timeout, const std::string& name) {
  std::uint64_t shown = ~0ULL;
  for (;;) {
    const weft::wire::Status status = weft::client::query_status(address, true, timeout);
    const auto worker = std::find_if(status.worker_list.begin(), status.worker_list.end(),
                                     [&](const auto& w) { return w.name == name; });
    if (worker == status.worker_list.end()) break;
    if (std::exchange(shown, worker->assigned) != worker->assigned)
      fmt::print("worker {} is {}: {} {} left\n", name, worker->state, worker->assigned,
                 worker->assigned == 1 ? "task" : "tasks");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  fmt::print("worker {} has left\n", name);
}

/// `program`: argv[0], which is cluster.sh if that script has called us.
int run_cluster(const std::string& program, const std::vector<std::string>& words) {
  const bool script = std::filesystem::path(program).filename() == "cluster.sh";
  return weft::cluster::cluster_command(script ? "cluster.sh" : "weft cluster", words);
}

/// Reports an unknown or missing command, with the list of commands.
int refuse_command(const CLI::App& app, const std::string& command) {
  std::string text = command.empty()
                         ? "weft: a command is missing; the commands are:\n"
                         : fmt::format("weft: '{}' is not a command; the commands are:\n", command);
  for (const CLI::App* each : app.get_subcommands({}))
    text += fmt::format("  {:8}{}\n", each->get_name(), each->get_description());
  fmt::print(stderr, "{}Run with --help for more information.\n", text);
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  weft::open_standard_files();
  CLI::App app("weft: queries, measures and manages Weft clusters", "weft");
  app.set_version_flag("--version", "weft " WEFT_VERSION);

  std::string address;
  double timeout_s = 3;
  bool json = false;
  bool wait = true;
  std::string subject;
  weft::bench::BenchOptions bench;
  const auto add = [&](const char* name, const char* what, const char* argument = nullptr,
                       const char* argument_is = nullptr) {
    CLI::App* command = app.add_subcommand(name, what);
    if (argument != nullptr) command->add_option(argument, subject, argument_is)->required();
    command->add_option("ADDRESS", address,
                        "host:port of the broker; default: $WEFT_BROKER, else 127.0.0.1:8786");
    command->add_option("--timeout", timeout_s, "time to wait for an answer, e.g. 500ms")
        ->transform(weft::as_seconds(0.001, 1e9))
        ->capture_default_str();
    return command;
  };
  const CLI::App* ping_command =
      add("ping", "version, epoch and slots of a broker; exit code 1 if none answers");
  CLI::App* status_command = add("status", "broker, workers, clients and waiting tasks");
  status_command->add_flag("--json", json, "for programs");
  CLI::App* drain_command = add(
      "drain", "let a worker finish its running tasks, accept no new ones, and leave", "WORKER", "its name");
  drain_command->add_flag("--wait,!--no-wait", wait, "wait until it has left (the default)");
  const CLI::App* why_command = add("why", "why a task is queued or running, in one sentence", "TASK",
                                    "its id, as in errors and status, e.g. 3f2a91c0-17");
  CLI::App* bench_command = app.add_subcommand(
      "bench",
      "measures the cluster: no-ops per second, round trip, use of the slots by tasks of several lengths");
  bench_command->add_option("ADDRESS", address,
                            "host:port of the broker; default: $WEFT_BROKER, else 127.0.0.1:8786");
  bench_command->add_option("--tasks", bench.tasks, "no-ops in each row on tasks per second")
      ->check(CLI::Range(1000, 100'000'000))
      ->capture_default_str();
  bench_command->add_option("--trips", bench.trips, "round trips")
      ->check(CLI::Range(10, 10'000'000))
      ->capture_default_str();
  bench_command->add_flag("--json", bench.json, "for programs");
  CLI::App* cache_command =
      app.add_subcommand("cache", "programs that workers of this host have cached on disk");
  std::string cache_action;
  std::string directory = weft::default_cache_directory();
  cache_command->add_option("list|clear", cache_action, "list the files, or remove those that no worker uses")
      ->check(CLI::IsMember({"list", "clear"}))
      ->required();
  cache_command->add_option("--local-directory", directory, "of the workers")->capture_default_str();

  app.add_subcommand("run", "runs a program with a cluster on this machine that ends with the program");
  app.add_subcommand("cluster",
                     "a broker and workers on this machine: up, down, status and more; see --help");

  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "run") return weft::cluster::run_command({argv + 2, argv + argc});
  if (first == "cluster") return run_cluster(argv[0], {argv + 2, argv + argc});
  const auto is_first = [&](const CLI::App* command) { return command->get_name() == first; };
  if (!first.starts_with("-") && app.get_subcommands(is_first).empty()) return refuse_command(app, first);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (cache_command->parsed()) {
    fmt::print("{}", cache_action == "list" ? weft::client::cache_list_text(directory)
                                            : weft::client::clear_cache(directory));
    return 0;
  }
  if (app.get_subcommands().empty()) return refuse_command(app, "");
  const auto timeout = weft::detail::bounded(std::chrono::duration<double>(timeout_s));
  try {
    address = weft::detail::broker_address(address);
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "weft: {}\n", error.what());
    return kUsage;
  }
  try {
    if (ping_command->parsed()) ping(address, timeout);
    if (bench_command->parsed()) weft::bench::run_bench(address, bench);
    if (status_command->parsed()) show_status(address, timeout, json);
    if (why_command->parsed()) return print_answer(address, timeout, weft::wire::Why{subject}) ? 0 : 1;
    if (drain_command->parsed()) {
      if (!print_answer(address, timeout, weft::wire::DrainWorker{subject})) return 1;
      if (wait) wait_until_left(address, timeout, subject);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft: {}\n", error.what());
    return 1;
  }
  return 0;
}

// SPDX-License-Identifier: MIT
#include "client/cluster/cluster_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "client/cluster/commands.hpp"
#include "client/cluster/supervisor_loop.hpp"
#include "common/system/option_units.hpp"

namespace weft::cluster {

namespace {

constexpr const char* kUsage =
    R"(Usage: {0} up [--workers W] [--nprocs N] [--port P] [--host H] [--insecure] [--hosts FILE]
                 [--journal FILE] [--log-size 8M] [--timeout 60s] [-- EXTRA WORKER ARGS]
       {0} status | logs [-f] | scale W [--timeout 60s] | drain WORKER... [--timeout 60s]
       {0} restart [NAME...] [--timeout 60s] | down [--grace 10s]

  up      starts a broker and workers here, and returns when all slots have joined; in a running cluster,
          restarts what was drained or given up
    --workers W    workers on this machine (default 1; with --hosts 0)
    --nprocs N     slots of each (default: the cores of this machine divided among them)
    --port P       the broker's port (default 8786; 0: any free one)
    --host H       the address that the broker serves (default 127.0.0.1); other than loopback needs --insecure
    --insecure     anyone who can reach that address may run any program here
    --hosts FILE   also start workers by ssh: one "host [nprocs]" per line, # starts a comment
    --journal FILE preserves detached tasks if the broker dies
    --log-size S   rotates a log at this size to NAME.1.log; two older ones are kept
    --timeout T    how long to wait for the slots
  status  shows broker and workers, slots and tasks; exit code 0 only if all are well
  logs    prints the logs, each line with the name of its process; -f follows them
  scale   starts workers on this machine, or drains the newest ones, until there are W
  drain   lets workers finish their tasks and leave; they stay out until scale or up
  restart rolls out an update: one worker after the other finishes its tasks, leaves, and joins again with the
          program that is on disk now. "restart broker" restarts the broker
  down    stops everything; kills what has not left after the grace period

A process that dies is restarted, after 0.2 s doubling to 5 s. One that dies five times in a row within 5 s is
given up, and so is one that cannot start; status says why. Deaths while a disk is full do not count.

State and logs are in $WEFT_STATE_DIR (default $XDG_RUNTIME_DIR/weft or /tmp/weft-UID): another directory is
another cluster. Logs stay there when the cluster is down. The programs are those in $WEFT_BIN_DIR, where weft
is, or on PATH. $WEFT_SSH is the ssh command.
Exit code: 0 success, 1 failure, 2 wrong usage.
)";

std::string usage(const std::string& program) { return fmt::format(fmt::runtime(kUsage), program); }

int refuse_usage(const std::string& program, const std::string& reason) {
  const std::string text = usage(program);
  fmt::print(stderr, "{}: {}\n{}", program, reason, text.substr(0, text.find("\n\n") + 1));
  return 2;
}

milliseconds duration_from(double seconds) { return milliseconds(std::llround(seconds * 1000)); }

constexpr double kTimeMax_s = 1e6;

struct Options {
  UpOptions up;
  double timeout_s = 60;
  double grace_s = 10;
  bool follow = false;
  int workers = 0;
  std::vector<std::string> names;
};

void add_up(CLI::App& command, UpOptions& options) {
  command.add_option("--workers", options.workers)->check(CLI::Range(0, 999));
  command.add_option("--nprocs", options.nprocs)->check(CLI::Range(1, 9999));
  command.add_option("--port", options.port)->check(CLI::Range(0, 65535));
  command.add_option("--host", options.host);
  command.add_flag("--insecure", options.insecure);
  command.add_option("--hosts", options.hosts_file);
  command.add_option("--journal", options.journal);
  command.add_option("--log-size", options.log_size)->transform(as_bytes());
}

void add_commands(CLI::App& app, Options& options) {
  const auto add = [&](const char* name) {
    CLI::App* command = app.add_subcommand(name);
    command->set_help_flag();
    return command;
  };
  CLI::App* up = add("up");
  add_up(*up, options.up);
  CLI::App* scale = add("scale");
  scale->add_option("W", options.workers)->check(CLI::Range(0, 999))->required();
  CLI::App* drain = add("drain");
  drain->add_option("WORKER", options.names)->required();
  CLI::App* restart = add("restart");
  restart->add_option("NAME", options.names);
  for (CLI::App* command : {up, scale, drain, restart})
    command->add_option("--timeout", options.timeout_s)->transform(as_seconds(0, kTimeMax_s));
  add("status");
  add("logs")->add_flag("-f,--follow", options.follow);
  add("down")->add_option("--grace", options.grace_s)->transform(as_seconds(0, kTimeMax_s));
  app.require_subcommand(1, 1);
}

int perform(const std::string& command, Options& options) {
  if (command == "status") return status();
  if (command == "logs") return show_logs(options.follow);
  if (command == "down") return down(duration_from(options.grace_s));
  const milliseconds timeout = duration_from(options.timeout_s);
  options.up.timeout = timeout;
  if (command == "scale") return scale(options.workers, timeout);
  if (command == "drain") return drain(options.names, timeout);
  if (command == "restart") return restart(options.names, timeout);
  return up(options.up);
}

int parse_and_perform(const std::string& program, std::vector<std::string> words) {
  CLI::App app("", program);
  app.set_help_flag();
  Options options;
  add_commands(app, options);
  if (const auto end = std::find(words.begin(), words.end(), "--"); end != words.end()) {
    if (words.front() != "up") throw WrongUsage("only up takes arguments after --");
    options.up.worker_args.assign(end + 1, words.end());
    words.erase(end, words.end());
  }
  std::reverse(words.begin(), words.end());  // CLI11 expects them in reverse order
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    throw WrongUsage(error.what());
  }
  return perform(app.get_subcommands().front()->get_name(), options);
}

}  // namespace

int cluster_command(const std::string& program, const std::vector<std::string>& words) {
  const std::string first = words.empty() ? "" : words.front();
  if (first == "-h" || first == "--help" || first == "help") {
    fmt::print("{}", usage(program));
    return 0;
  }
  if (first == "supervise" && words.size() == 2) return supervise(words[1]);
  try {
    if (first.empty())
      throw WrongUsage("a command is missing: up, status, logs, scale, drain, restart or down");
    return parse_and_perform(program, words);
  } catch (const WrongUsage& error) {
    return refuse_usage(program, error.what());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  }
}

}  // namespace weft::cluster

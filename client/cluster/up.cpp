// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cluster/binaries.hpp"
#include "client/cluster/broker_view.hpp"
#include "client/cluster/commands.hpp"
#include "client/cluster/control.hpp"
#include "client/cluster/start.hpp"

namespace weft::cluster {

namespace fs = std::filesystem;

namespace {

bool is_loopback(const std::string& host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1" || host == "[::1]";
}

bool is_wildcard(const std::string& host) { return host == "0.0.0.0" || host == "::" || host == "*"; }

/// Whether ssh interprets the word as a host and not as an option.
bool is_host_word(const std::string& word) {
  if (word.empty() || word[0] == '-') return false;
  for (const char c : word)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && std::string("_.@:-").find(c) == std::string::npos)
      return false;
  return true;
}

int slots_from(const std::string& word, const std::string& where) {
  char* end = nullptr;
  const long slots = std::strtol(word.c_str(), &end, 10);
  if (*end != '\0' || slots < 1 || slots > 9999)
    throw WrongUsage(fmt::format("{} needs a number from 1 to 9999, not '{}'", where, word));
  return static_cast<int>(slots);
}

void check(const UpOptions& options) {
  if (!options.hosts_file.empty() && is_wildcard(options.host))
    throw WrongUsage("with --hosts, give --host the address by which those machines reach this one");
  if (!options.insecure && !is_loopback(options.host))
    throw Failed(fmt::format(
        "--insecure is required: anyone who can reach {} can run any program here. Add --insecure if "
        "everyone on that "
        "network may, or omit --host",
        options.host));
}

ClusterSettings settings_from(const UpOptions& options) {
  ClusterSettings settings;
  if (!options.hosts_file.empty()) settings.hosts = read_hosts(options.hosts_file, options.host);
  settings.bin_directory = find_binaries(own_directory());
  settings.host = options.host;
  settings.port = options.port;
  settings.workers = options.workers >= 0 ? options.workers : settings.hosts.empty() ? 1 : 0;
  settings.nprocs = options.nprocs > 0 ? options.nprocs : shared_cores(settings.workers);
  settings.worker_args = options.worker_args;
  settings.log_size = options.log_size;
  if (!options.journal.empty()) {
    settings.journal = fs::absolute(options.journal).lexically_normal().string();
    settings.broker_args = {"--journal", settings.journal};
  }
  if (options.insecure) settings.broker_args.push_back("--insecure");
  return settings;
}

/// `up` in a running cluster: restarts members that were drained or given up.
int up_again(const StateDirectory& directory, milliseconds timeout) {
  const Reply revived = ask(directory, "revive");
  const bool changed = revived.ok && !revived.text.empty();
  if (changed) await_cluster(directory, timeout);
  const ClusterView view = look_at(directory, milliseconds(5000));
  fmt::print("already running; {}\n", changed ? "restarted: " + revived.text : "nothing has changed");
  if (view.broker)
    print_running(view, directory);
  else
    fmt::print("but the broker does not answer: see cluster.sh status\n");
  return 0;
}

}  // namespace

std::vector<Host> read_hosts(const std::string& path, const std::string& broker_host) {
  std::ifstream file(path);
  if (!file) throw Failed(fmt::format("cannot read the hosts file {}", path));
  std::vector<Host> hosts;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name;
    std::string slots;
    std::string rest;
    words >> name >> slots >> rest;
    if (name.empty()) continue;
    if (!is_host_word(name) || !rest.empty())
      throw WrongUsage(fmt::format("a line of {} is not 'host [nprocs]': {}", path, line));
    if (is_loopback(broker_host) && !is_loopback(name.substr(name.rfind('@') + 1)))
      throw WrongUsage(
          fmt::format("{} cannot reach a broker on {}: give --host the address by which it is reached", name,
                      broker_host));
    hosts.push_back({name, slots.empty() ? 0 : slots_from(slots, name + " in " + path)});
  }
  if (hosts.empty()) throw WrongUsage(fmt::format("{} names no host", path));
  return hosts;
}

namespace {

/// Stops the members of an `up` that failed or was interrupted, and removes its files except the logs.
void abandon(const StateDirectory& directory) {
  ignore_signals();
  ask_to_stop(directory, milliseconds(2000), milliseconds(20'000), [](const std::string&) {});
  directory.remove_run();
}

bool is_running(const StateDirectory& directory) try {
  return look_at_processes(directory).anything_runs();
} catch (const std::runtime_error&) {
  return false;  // a directory without state
}

}  // namespace

int up(const UpOptions& options) {
  check(options);
  const ClusterSettings settings = settings_from(options);
  StateDirectory directory = StateDirectory::locate();
  directory.make();
  const Fd lock = directory.lock();
  if (directory.has_cluster() && is_running(directory)) return up_again(directory, options.timeout);
  directory.remove_run();  // left by a cluster that ended by a reboot or kill -9
  heed_signals();
  try {
    start_supervisor(directory, settings, (own_directory() / "weft").string());
    await_cluster(directory, options.timeout);
  } catch (const Interrupted& interrupted) {
    abandon(directory);
    return 128 + interrupted.signal;
  } catch (...) {
    abandon(directory);
    throw;
  }
  print_running(look_at(directory, milliseconds(5000)), directory);
  return 0;
}

}  // namespace weft::cluster

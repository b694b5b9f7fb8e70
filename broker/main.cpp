// SPDX-License-Identifier: MIT
// weft-broker: serves until SIGINT or SIGTERM.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "broker/broker.hpp"
#include "common/net/link.hpp"
#include "common/system/daemon.hpp"
#include "common/system/hash.hpp"
#include "common/system/log_sink.hpp"
#include "common/system/option_units.hpp"
#include "common/system/standard_files.hpp"

namespace {

struct Options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8786;
  bool insecure = false;
  double heartbeat_interval_s = 1;
  std::uint32_t liveness = 3;
  double adoption_window_s = 2;
  double client_grace_s = 2;
  double max_client_silence_s = 600;
  std::uint64_t memory_budget = 0;
  std::string journal;
  bool salvage = false;
  double keep_s = 7 * 86400.0;
};

weft::Duration seconds(double s) { return weft::detail::bounded(std::chrono::duration<double>(s)); }

weft::broker::Settings settings_from(const Options& options) {
  weft::broker::Settings settings;
  settings.epoch = weft::random_number();
  const auto steady = std::chrono::steady_clock::now().time_since_epoch();
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  settings.unix_us_at_zero = std::chrono::duration_cast<weft::Duration>(wall - steady).count();
  settings.version = WEFT_VERSION;
  settings.heartbeat_interval = seconds(options.heartbeat_interval_s);
  settings.heartbeat_liveness = options.liveness;
  settings.adoption_window = seconds(options.adoption_window_s);
  settings.client_grace = seconds(options.client_grace_s);
  settings.max_client_silence = seconds(options.max_client_silence_s);
  settings.journal = !options.journal.empty();
  settings.result_ttl = seconds(options.keep_s);
  const auto machine =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  settings.memory_budget = options.memory_budget != 0 ? options.memory_budget : machine / 2;
  return settings;
}

void parse(CLI::App& app, Options& options) {
  app.add_option("--host", options.host, "Address to listen on, or * for all")
      ->check([](const std::string& host) {
        return host == "*" || weft::is_host(host)
                   ? std::string()
                   : "'" + host + "' is no host: write a name or a numeric address, and the port as --port";
      })
      ->capture_default_str();
  app.add_option("--port", options.port, "Port to listen on; 0 chooses a free one")->capture_default_str();
  app.add_flag("--insecure", options.insecure,
               "Allow an address that other machines can reach, without keys");
  app.add_option("--heartbeat-interval", options.heartbeat_interval_s, "Time between heartbeats")
      ->transform(weft::as_seconds(0.05, 60))
      ->capture_default_str();
  app.add_option("--heartbeat-liveness", options.liveness, "Missed heartbeats until a peer is lost")
      ->check(CLI::Range(2, 100))
      ->capture_default_str();
  app.add_option("--adoption-window", options.adoption_window_s,
                 "Time after the start in which workers may claim what they run")
      ->transform(weft::as_seconds(0, 600))
      ->capture_default_str();
  app.add_option("--client-grace", options.client_grace_s,
                 "Time that a client whose connection was closed may take to come back")
      ->transform(weft::as_seconds(0, 86400))
      ->capture_default_str();
  app.add_option("--max-client-silence", options.max_client_silence_s,
                 "Time that a silent client is waited for, e.g. 10m, unless it gives up earlier itself")
      ->transform(weft::as_seconds(0, 30 * 86400.0))
      ->capture_default_str();
  app.add_option("--memory-budget", options.memory_budget,
                 "Size of all queued arguments, e.g. 4G; default: half the machine's memory")
      ->transform(weft::as_bytes());
  app.add_option("--journal", options.journal,
                 "File that keeps detached tasks over the death of this broker; their programs and large "
                 "arguments are in FILE.blobs");
  app.add_flag("--journal-salvage", options.salvage,
               "Of a damaged journal, keep every row that is whole, instead of refusing to start");
  app.add_option("--keep", options.keep_s,
                 "Time that the answer of a detached task is kept until it is fetched, e.g. 12h or 7d")
      ->transform(weft::as_seconds(0, 100 * 365 * 86400.0))
      ->capture_default_str();
  app.set_version_flag("--version", "weft-broker " WEFT_VERSION);
}

/// Opens the journal and its blob directory, and gives the broker their content.
void use_journal(weft::broker::Broker& broker, const Options& options) {
  using weft::broker::BlobDirectory, weft::broker::JournalFile;
  JournalFile file(options.journal, options.salvage ? JournalFile::Mode::salvage : JournalFile::Mode::normal);
  for (const std::string& notice : file.notices()) spdlog::warn("{}: {}", options.journal, notice);
  BlobDirectory folder(options.journal + ".blobs");
  weft::broker::Recovered recovered;
  for (const std::string& row : file.read()) {
    auto records = weft::broker::decode_row(row);
    if (!records) {
      throw std::runtime_error(fmt::format(
          "the journal {} was written by another version of Weft ({}): start that one, or begin with "
          "another file",
          options.journal, records.fault()));
    }
    recovered.records.insert(recovered.records.end(), std::move_iterator(records->begin()),
                             std::move_iterator(records->end()));
  }
  for (const auto& [id, size] : folder.list()) recovered.blobs.push_back(id);
  broker.use_journal(std::make_unique<weft::broker::JournalWriter>(std::move(file), std::move(folder)),
                     std::move(recovered));
}

/// Raises the soft limit of descriptors to the hard one. Throws std::runtime_error when that is too few.
void raise_file_limit() {
  constexpr rlim_t kFilesMin = 48;  // the broker's own, its reserve, and a few workers and clients
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max >= kFilesMin) return;
  throw std::runtime_error(
      fmt::format("at most {} files may be open (ulimit -Hn): a broker needs {}", files.rlim_max, kFilesMin));
}

int serve(const Options& options) {
  if (!options.insecure && !weft::broker::is_loopback(options.host)) {
    weft::report_line(fmt::format(
        "weft-broker: refusing to listen on {}: anyone who can reach this port can run any program here. "
        "Only a loopback address needs no keys; add --insecure if everyone on that network may.",
        options.host));
    return 1;
  }
  // libzmq numbers connections from rand(): a peer must not be able to guess the next number.
  std::srand(static_cast<unsigned>(weft::random_number()));
  raise_file_limit();
  const sigset_t signals = weft::block_stop_signals();
  const int stop = signalfd(-1, &signals, SFD_CLOEXEC);

  zmq::context_t context;
  weft::broker::Broker broker(context, options.host, options.port, settings_from(options));
  if (!options.journal.empty()) use_journal(broker, options);
  weft::write_without_waiting(STDOUT_FILENO, fmt::format("weft-broker: serving on {}\n", broker.address()));
  broker.run(stop);
  // A second signal ends the process at once, in case the last write of the journal hangs.
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, [](int) { _exit(0); });
  signalfd_siginfo first{};
  [[maybe_unused]] const auto got = read(stop, &first, sizeof first);
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  spdlog::info("stopped");
  close(stop);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  weft::start_daemon();
  Options options;
  CLI::App app("The Weft broker: schedules the tasks of clients on workers.", "weft-broker");
  try {
    parse(app, options);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  weft::use_log("weft-broker", "%Y-%m-%d %H:%M:%S.%e %l %v");
  int code = 1;
  try {
    code = serve(options);
  } catch (const std::exception& error) {
    weft::report_line(fmt::format("weft-broker: {}", error.what()));
  }
  spdlog::shutdown();
  return code;
}

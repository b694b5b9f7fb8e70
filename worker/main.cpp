// SPDX-License-Identifier: MIT
// weft-worker: lends the cores of this host to a broker.
#include <fcntl.h>
#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <poll.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "common/system/daemon.hpp"
#include "common/system/hash.hpp"
#include "common/system/log_sink.hpp"
#include "common/system/option_units.hpp"
#include "common/system/program_cache.hpp"
#include "common/system/standard_files.hpp"
#include "worker/core/limits.hpp"
#include "worker/core/resources.hpp"
#include "worker/runners/cores.hpp"
#include "worker/runners/fork_server.hpp"
#include "worker/runners/memory_meter.hpp"
#include "worker/runners/thread_variables.hpp"
#include "worker/worker.hpp"

namespace {

using namespace weft;
using namespace weft::worker;

struct Options {
  std::string broker;
  std::uint32_t slots = usable_cores();
  std::string name;
  std::string resources;
  std::optional<std::uint64_t> memory;        // bytes
  std::optional<std::uint64_t> memory_limit;  // bytes
  std::vector<std::string> libraries;
  std::string local_directory;
  std::uint64_t runner_max_tasks = 0;
  bool verbose = false;
};

/// Searches next to this program, in $WEFT_BIN_DIR, and on $PATH.
std::string find_program(const std::string& name) {
  std::error_code error;
  std::vector<std::filesystem::path> directories{
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path()};
  if (const char* directory = std::getenv("WEFT_BIN_DIR")) directories.emplace_back(directory);
  std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
  for (std::string directory; std::getline(path, directory, ':');) directories.emplace_back(directory);
  for (const auto& directory : directories) {
    const auto program = directory / name;
    if (access(program.c_str(), X_OK) == 0) return std::filesystem::absolute(program, error).string();
  }
  throw std::runtime_error(name + " not found next to weft-worker, in $WEFT_BIN_DIR or on $PATH");
}

std::string read_all(int fd) {
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(fd, buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<std::size_t>(got));
  return out;
}

/// The names of the tasks in the libraries, as `weft-runner --list` prints them. Throws with the loader's
/// message.
std::vector<std::string> functions_in(const std::string& runner, const std::vector<std::string>& libraries) {
  std::vector<std::string> words{runner};
  for (const std::string& library : libraries) words.insert(words.end(), {"--load", library});
  words.push_back("--list");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  // stderr goes to an anonymous file, since a second pipe could fill up while we read the first.
  const Fd errors = checked(memfd_create("errors", MFD_CLOEXEC), "memfd");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) throw std::system_error(errno, std::system_category(), "pipe");
  const Fd out(ends[0]);
  Fd far_out(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, far_out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.get(), STDERR_FILENO);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, runner.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::system_category(), runner);
  far_out.reset();

  const std::string text = read_all(out.get());
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) {
    lseek(errors.get(), 0, SEEK_SET);
    const std::string why = read_all(errors.get());
    throw std::runtime_error(why.empty() ? "weft-runner --list ended abnormally"
                                         : why.substr(0, why.find_last_not_of('\n') + 1));
  }
  std::vector<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) names.push_back(line.substr(0, line.find(' ')));
  return names;
}

std::string host_name() {
  char text[256] = "";
  gethostname(text, sizeof text - 1);
  return text;
}

/// Reduces the slots to what the file limit allows, and gives the remaining descriptors to blobs. Throws
/// std::runtime_error when there are not enough for a single slot.
void fit_into_file_limit(Worker::Settings& settings) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t files = limit.rlim_cur;
  std::uint32_t& slots = settings.session.hello.slots;
  const std::uint32_t possible = slots_for_files(files);
  if (possible == 0) {
    throw std::runtime_error(
        fmt::format("at most {} files may be open (ulimit -Hn): a worker needs {} for one slot", files,
                    kOwnFiles + kFilesPerSlot));
  }
  if (possible < slots) {
    spdlog::warn("{} of {} slots: at most {} files may be open (ulimit -Hn), and each slot needs {}",
                 possible, slots, files, kFilesPerSlot);
    slots = possible;
  }
  settings.blob_files_max = blob_files_for(files, slots);
  // With few descriptors, unused arguments must not stay cached at the expense of needed ones.
  constexpr std::size_t kMany = 4096;
  if (settings.blob_files_max < kMany) settings.session.blobs.recent_bytes_max = 0;
}

Worker::Settings settings_from(const Options& options) {
  Worker::Settings settings;
  wire::HelloWorker& hello = settings.session.hello;
  hello.incarnation = random_uuid();
  hello.host = host_name();
  hello.pid = static_cast<std::uint64_t>(getpid());
  hello.name = options.name.empty() ? fmt::format("{}-{}", hello.host, hello.pid) : options.name;
  hello.slots = options.slots;
  utsname system{};
  uname(&system);
  hello.arch = system.machine;
  hello.libc = std::string("glibc ") + gnu_get_libc_version();
  OfferedResources resources = *parse_resources(options.resources);  // checked by the option's validator
  hello.resources = std::move(resources.amounts);
  settings.session.indices = std::move(resources.indices);

  settings.memory = options.memory;
  hello.memory = MemoryMeter(settings.memory).limit();

  settings.session.broker = options.broker;
  settings.session.jitter_seed = random_number();
  settings.session.runner_max_tasks = options.runner_max_tasks;
  settings.runners.incarnation = hello.incarnation;
  settings.runners.worker = hello.name;
  settings.runners.launcher.memory_limit = options.memory_limit;
  settings.runners.launcher.runner_program = find_program("weft-runner");
  for (const std::string& library : options.libraries) {
    settings.runners.launcher.libraries.push_back(std::filesystem::absolute(library).string());
  }
  if (!options.libraries.empty()) {
    hello.functions =
        functions_in(settings.runners.launcher.runner_program, settings.runners.launcher.libraries);
  }
  settings.cache_directory = options.local_directory.empty()
                                 ? default_cache_directory()
                                 : std::filesystem::absolute(options.local_directory).string();
  fit_into_file_limit(settings);
  return settings;
}

int serve(const Options& options) {
  try {
    original_file_limit();
    raise_file_limit();
    block_stop_signals();
    const auto thread_variables = set_thread_variables(std::max(1U, usable_cores() / options.slots));
    ForkServer server;  // before there are threads and memory to copy
    use_log("weft-worker", "%Y-%m-%d %H:%M:%S.%e %L %v");
    spdlog::set_level(options.verbose ? spdlog::level::debug : spdlog::level::info);
    Worker::Settings settings = settings_from(options);
    settings.runners.thread_variables = thread_variables;
    Worker worker(std::move(settings), server);
    return worker.run();
  } catch (const CLI::Error& error) {
    report_line(fmt::format("{}\nRun with --help for more information.", error.what()));
    return 2;
  } catch (const std::exception& error) {
    report_line(fmt::format("weft-worker: {}", error.what()));
    return 1;
  }
}

int run(const Options& options) {
  try {
    endpoint_of(options.broker);
  } catch (const std::invalid_argument& error) {
    report_line(fmt::format("weft-worker: {}", error.what()));
    return 2;
  }
  const int code = serve(options);
  spdlog::shutdown();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  start_daemon();
  Options options;
  const char* broker = std::getenv("WEFT_BROKER");
  options.broker = broker && *broker ? broker : "127.0.0.1:8786";

  CLI::App app("Lends the cores of this host to a Weft broker.", "weft-worker");
  // The last value wins, so that a script can put its defaults in front of its user's options.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("HOST:PORT", options.broker, "of the broker; default $WEFT_BROKER, else 127.0.0.1:8786");
  app.add_option("--nprocs,--nworkers", options.slots,
                 "slots: tasks that run at once; default: one for each usable core (affinity, cgroups)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--name", options.name, "shown in status and errors; default: HOST-PID");
  app.add_option(
         "--resources", options.resources,
         "what tasks may ask for, for example licence=1,gpu=2; with gpu=[0,1] a task is told its devices")
      ->check([](const std::string& text) {
        const auto resources = parse_resources(text);
        return resources ? std::string() : resources.fault();
      });
  app.add_option(
         "--memory", options.memory,
         "for the worker and its tasks together, for example 16G: above 90 % it accepts no new tasks, and it "
         "gets no larger argument; default: the memory of its cgroup and its machine")
      ->transform(as_bytes());
  app.add_option("--memory-limit", options.memory_limit,
                 "for each slot, for example 2G; a task that exceeds it is killed")
      ->transform(as_bytes());
  app.add_option("--load", options.libraries, "a task library (may be given several times)")
      ->type_name("LIB.so")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--local-directory", options.local_directory,
                 "for the cache and scratch directories; default: $XDG_CACHE_HOME/weft or ~/.cache/weft");
  app.add_option("--runner-max-tasks", options.runner_max_tasks,
                 "replace a runner process after N tasks; 1: a new process for each task; default: no limit")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 53))
      ->type_name("N");
  app.add_flag("-v,--verbose", options.verbose, "log more");
  app.set_version_flag("--version", WEFT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options);
}

// SPDX-License-Identifier: MIT
#include "worker/runners/runner_launcher.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include "common/base/quantity.hpp"
#include "worker/runners/loader_image.hpp"
#include "worker/store/elf.hpp"

namespace weft::worker {

namespace {

// One message to the fork server holds 253 descriptors (SCM_MAX_FD), a few of which are not libraries.
constexpr std::size_t kLibrariesMax = 240;

/// Rejects paths: the name comes from a client.
void require_file_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    throw std::runtime_error(fmt::format("'{}' is not the name of a library", name));
  }
}

Fd make_loader() {
  Fd loader = checked(memfd_create("weft-loader", MFD_CLOEXEC | MFD_ALLOW_SEALING), "cannot make memory");
  write_all_at(loader.get(), loader_image(), 0);
  fcntl(loader.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return loader;
}

}  // namespace

RunnerLauncher::RunnerLauncher(Settings settings, ForkServer& server, BlobStore& blobs)
    : settings_(std::move(settings)), server_(server), blobs_(blobs) {
  if (!settings_.memory_limit) return;
  std::string why;
  cgroup_ = Cgroup::take_over(why);
  if (cgroup_) {
    spdlog::info("the kernel enforces the memory limit of {} for each slot",
                 format_bytes(*settings_.memory_limit));
  } else {
    spdlog::info("the worker enforces the memory limit of {} for each slot by polling: {}",
                 format_bytes(*settings_.memory_limit), why);
  }
}

const std::string& RunnerLauncher::name_of(const Program& program) {
  static const std::string weft_runner = "weft-runner";
  return program.kind == wire::TaskKind::program ? program.file.name : weft_runner;
}

std::unique_ptr<RunnerProcess> RunnerLauncher::launch(const StartRunner& action) {
  RunnerProcess::Launch launch;
  launch.scratch = fmt::format("{}/{}", settings_.directory, action.runner);
  const Fd cgroup = cgroup_ ? cgroup_->enter_slot(action.slot, *settings_.memory_limit) : Fd();
  launch.cgroup = cgroup.get();
  launch.argv = {name_of(action.program)};
  std::vector<Fd> copies;
  Fd weft_runner;
  if (action.program.kind == wire::TaskKind::program) {
    add_program(action.program, launch, copies);
  } else {
    weft_runner = open_weft_runner(launch);
  }
  return std::make_unique<RunnerProcess>(launch, server_);
}

Fd RunnerLauncher::open_weft_runner(RunnerProcess::Launch& launch) const {
  Fd program =
      checked(open(settings_.runner_program.c_str(), O_RDONLY | O_CLOEXEC), settings_.runner_program);
  launch.executable = program.get();
  for (const std::string& library : settings_.libraries) {
    launch.argv.push_back("--load");
    launch.argv.push_back(library);
  }
  return program;
}

void RunnerLauncher::add_program(const Program& program, RunnerProcess::Launch& launch,
                                 std::vector<Fd>& copies) {
  launch.executable = blobs_.fd(program.file.id);
  if (const std::string why = why_not_for_this_machine(launch.executable); !why.empty()) {
    throw std::runtime_error(why);
  }
  if (!program.libraries.empty()) add_libraries(program, launch, copies);
}

/// Passes the verified bytes of the libraries, preceded by the loader's auditor that finds them.
void RunnerLauncher::add_libraries(const Program& program, RunnerProcess::Launch& launch,
                                   std::vector<Fd>& copies) {
  if (program.libraries.size() > kLibrariesMax)
    throw std::runtime_error(
        fmt::format("it ships {} shared libraries, and at most {} are possible: link some "
                    "of them statically",
                    program.libraries.size(), kLibrariesMax));
  if (!loader_) loader_ = make_loader();
  launch.libraries = {loader_.get()};
  std::set<BlobId> seen;
  for (const wire::FileRef& library : program.libraries) {
    require_file_name(library.name);
    launch.library_names += (launch.library_names.empty() ? "" : "/") + library.name;
    launch.libraries.push_back(blobs_.fd(library.id));
    if (seen.insert(library.id).second) continue;
    // Two libraries with the same content are two objects with separate data, but the loader identifies
    // objects by inode, so the second one gets a copy.
    BlobId id;
    copies.push_back(sealed_copy(launch.libraries.back(), library.size, library.name, id));
    launch.libraries.back() = copies.back().get();
  }
  launch.large_tls = large_tls_.contains(program.libraries);
}

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
#include "tests/support/process.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace weft::support {

namespace fs = std::filesystem;

namespace {

std::string read_file(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

// ---- Process ----

Process::Process(std::vector<std::string> argv, Options options) {
  std::vector<char*> arguments;
  for (std::string& argument : argv) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  if (options.output.empty()) {
    directory_ = std::make_unique<TempDirectory>();
    options.output = directory_->path() / "process";
  }
  out_ = options.output.string() + ".out";
  err_ = options.output.string() + ".err";
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  if (pid_ == 0) {
    for (const auto& [name, value] : options.environment) setenv(name.c_str(), value.c_str(), 1);
    if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(126);
    const int null = open("/dev/null", O_RDONLY);
    const int out_fd = open(out_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int err_fd = open(err_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(null, 0);
    dup2(out_fd, 1);
    dup2(err_fd, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
}

Process::~Process() { kill(); }

bool Process::running() { return !wait(0ms).has_value(); }

void Process::signal(int number) const {
  if (!status_) ::kill(pid_, number);
}

std::optional<int> Process::wait(std::chrono::milliseconds within) {
  eventually(
      [this] {
        int status = 0;
        if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) {
          status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        return status_.has_value();
      },
      within);
  return status_;
}

void Process::kill() {
  if (status_) return;
  ::kill(pid_, SIGKILL);
  ::kill(pid_, SIGCONT);
  wait(20s);
}

std::string Process::out() const { return read_file(out_); }
std::string Process::err() const { return read_file(err_); }

bool Process::prints(const std::string& text, std::chrono::milliseconds within) {
  return eventually([&] { return contains(out(), text) || contains(err(), text); }, within);
}

// ---- binaries and status ----

std::string binary(const std::string& name) {
  if (const char* directory = std::getenv("WEFT_BIN_DIR")) return fs::path(directory) / name;
  return fs::read_symlink("/proc/self/exe").parent_path() / name;
}

std::string status_json(const std::string& address) {
  Process weft({binary("weft"), "status", address, "--json"});
  if (weft.wait() != 0) return "";
  return weft.out();
}

long status_number(const std::string& address, const std::string& key) {
  const auto json = nlohmann::json::parse(status_json(address), nullptr, false);
  if (json.is_discarded() || !json.contains(key)) return -1;
  return json[key].is_array() ? static_cast<long>(json[key].size()) : json[key].get<long>();
}

// ---- processes ----

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  std::error_code ignored;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", ignored)) {
    std::ifstream file(thread.path() / "children");
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

std::vector<pid_t> descendants_of(pid_t pid) {
  std::vector<pid_t> all = children_of(pid);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto more = children_of(all[i]);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::vector<pid_t> runners_of(pid_t worker) {
  std::vector<pid_t> runners = descendants_of(worker);
  std::erase_if(runners, [](pid_t pid) {
    std::string name;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
    return name == "weft-forkserver" || name == "weft-reaper";
  });
  return runners;
}

bool process_exists(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) return false;
  const std::size_t behind_name = text.rfind(')');
  return behind_name != std::string::npos && text.substr(behind_name + 2, 1) != "Z";
}

}  // namespace weft::support

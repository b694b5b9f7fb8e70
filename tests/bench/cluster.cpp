// SPDX-License-Identifier: MIT
#include "tests/bench/cluster.hpp"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace weft::bench {

using namespace std::chrono_literals;

Cluster::Cluster(int slots) {
  broker_ = std::make_unique<support::Process>(
      std::vector<std::string>{support::binary("weft-broker"), "--port", "0"});
  const std::string before = "serving on tcp://";
  if (!broker_->prints(before) || !broker_->prints("\n"))
    throw std::runtime_error("no broker: " + broker_->err());
  const std::string said = broker_->out();
  const std::size_t begin = said.find(before) + before.size();
  address_ = said.substr(begin, said.find('\n', begin) - begin);
  if (slots == 0) return;
  add_worker("worker", slots);
  wait_for_slots(slots);
}

void Cluster::add_worker(const std::string& name, int slots, const std::vector<std::string>& flags) {
  std::vector<std::string> argv{support::binary("weft-worker"),
                                address_,
                                "--nprocs",
                                std::to_string(slots),
                                "--name",
                                name,
                                "--local-directory",
                                directory_.path() / name};
  argv.insert(argv.end(), flags.begin(), flags.end());
  workers_.push_back(std::make_unique<support::Process>(argv));
}

Clock::time_point Cluster::hello_of_newest() const {
  const std::string mark = "saying HELLO";
  if (!workers_.back()->prints(mark)) throw std::runtime_error("no HELLO: " + workers_.back()->err());
  const std::string log = workers_.back()->err();
  std::istringstream line(log.substr(log.rfind('\n', log.find(mark)) + 1));
  std::tm local{};
  int milliseconds = 0;
  line >> std::get_time(&local, "%Y-%m-%d %H:%M:%S");
  if (line.get() != '.' || !(line >> milliseconds)) throw std::runtime_error("no time in " + log);
  local.tm_isdst = -1;
  const auto then = std::chrono::system_clock::from_time_t(std::mktime(&local)) + milliseconds * 1ms;
  return Clock::now() - std::chrono::duration_cast<Clock::duration>(std::chrono::system_clock::now() - then);
}

void Cluster::wait_for_slots(long slots) const {
  if (!support::eventually([&] { return support::status_number(address_, "slots") == slots; }, 30s))
    throw std::runtime_error("the slots have not joined");
}

// ---- client programs ----

Values values_in(const std::string& text) {
  Values values;
  std::istringstream lines(text);
  std::string name;
  for (double value = 0; lines >> name >> value;) values[name] = value;
  return values;
}

namespace {

std::vector<std::string> command_line(const std::string& mode, const std::string& address,
                                      std::vector<std::string> arguments, const std::string& program) {
  std::vector<std::string> argv{program.empty() ? support::binary("weft_bench") : program, "--client", mode,
                                address};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

}  // namespace

ClientProgram::ClientProgram(const std::string& mode, const std::string& address,
                             std::vector<std::string> arguments, const std::string& program)
    : mode_(mode), process_(command_line(mode, address, std::move(arguments), program)) {}

double ClientProgram::value(const std::string& name, std::chrono::seconds within) {
  Values values;
  const bool there = support::eventually(
      [&] {
        const std::string out = process_.out();
        values = values_in(out.substr(0, out.rfind('\n') + 1));
        return values.contains(name) || !process_.running();
      },
      within);
  if (!there || !values.contains(name))
    throw std::runtime_error("the client program '" + mode_ + "' said nothing: " + process_.err());
  return values[name];
}

Values ClientProgram::finish(std::chrono::seconds within) {
  const auto code = process_.wait(within);
  if (code != 0)
    throw std::runtime_error("the client program '" + mode_ +
                             "' failed: " + (code ? process_.err() : std::string("it does not end")));
  return values_in(process_.out());
}

// ---- what the kernel says ----

double cpu_seconds(pid_t pid) {
  double ns = 0;
  std::error_code ignored;
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", ignored)) {
    std::ifstream file(thread.path() / "schedstat");
    double used = 0;
    if (file >> used) ns += used;
  }
  return ns / 1e9;
}

double resident_bytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  double pages = 0;
  double resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace weft::bench

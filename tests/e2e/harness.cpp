// SPDX-License-Identifier: MIT
#include "tests/e2e/harness.hpp"

#include <doctest/doctest.h>

namespace weft::e2e {

Cluster::Cluster(Options options) : options_(std::move(options)) {
  start_broker("0");
  for (int i = 0; i < options_.workers; ++i) add_worker();
  wait_for_slots(options_.workers * options_.nprocs);
}

void Cluster::start_broker(const std::string& port, Environment environment) {
  std::vector<std::string> argv = options_.broker_prefix;
  argv.insert(argv.end(), {binary("weft-broker"), "--port", port});
  argv.insert(argv.end(), options_.broker_arguments.begin(), options_.broker_arguments.end());
  broker_ = std::make_unique<Process>(
      argv, Process::Options{.environment = std::move(environment), .directory = {}, .output = {}});
  static const std::string kBefore = "serving on tcp://";
  REQUIRE_MESSAGE(broker_->prints(kBefore), broker_->err());
  REQUIRE(eventually([&] { return broker_->out().find('\n') != std::string::npos; }));
  const std::string text = broker_->out();
  const std::size_t begin = text.find(kBefore) + kBefore.size();
  address_ = text.substr(begin, text.find('\n', begin) - begin);
}

void Cluster::restart_broker(Environment environment) {
  start_broker(address_.substr(address_.rfind(':') + 1), std::move(environment));
}

Process& Cluster::add_worker(std::vector<std::string> arguments, Environment environment) {
  std::vector<std::string> argv = {binary("weft-worker"),
                                   address_,
                                   "--nprocs",
                                   std::to_string(options_.nprocs),
                                   "--name",
                                   "worker-" + std::to_string(workers_.size() + 1),
                                   "--local-directory",
                                   directory_.path() / ("cache-" + std::to_string(workers_.size() + 1))};
  argv.insert(argv.end(), options_.worker_arguments.begin(), options_.worker_arguments.end());
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  workers_.push_back(std::make_unique<Process>(
      argv, Process::Options{.environment = std::move(environment), .directory = {}, .output = {}}));
  return *workers_.back();
}

void Cluster::wait_for_slots(long slots, std::chrono::milliseconds within) {
  const bool joined = eventually([&] { return status("slots") == slots; }, within);
  std::string logs;
  for (const auto& worker : workers_) logs += worker->err();
  REQUIRE_MESSAGE(joined, "slots joined: " << status("slots") << " of " << slots << "\n" << logs);
}

}  // namespace weft::e2e

// SPDX-License-Identifier: MIT
// FakeBroker: a broker for tests of libclient: a ROUTER in a thread that speaks the real codec and calls the
// functions of the test program directly. It can hold tasks back, vanish and come back.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "common/wire/messages.hpp"

namespace weft::client::test {

class FakeBroker {
 public:
  /// `port` 0: any free port.
  explicit FakeBroker(std::uint64_t epoch = 1, int port = 0);
  ~FakeBroker();
  FakeBroker(const FakeBroker&) = delete;
  FakeBroker& operator=(const FakeBroker&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }

  std::atomic<bool> hold{false};          // tasks wait until this is false
  std::atomic<bool> say_running{false};   // RUNNING is sent for waiting tasks
  std::atomic<bool> results_lost{false};  // GETs of results are answered with GONE
  std::atomic<std::uint32_t> workers{1};  // number of workers in its STATUS
  std::atomic<std::uint64_t> arrived{0};  // tasks, executed or not
  std::atomic<std::uint64_t> executed{0};
  std::atomic<std::uint64_t> cancels{0};
  std::atomic<std::uint64_t> goodbyes{0};
  std::atomic<std::uint64_t> drops{0};
  std::atomic<std::uint64_t> chunks{0};  // of arguments, that have arrived

 private:
  struct Task {
    std::uint64_t seq = 0;
    std::uint32_t spec = 0;
    wire::Payload payload;
    std::string argument;  // a blob, as much as has arrived
  };

  void run();
  void take(const std::string& peer, const wire::Message& message);
  void accept(const std::string& peer, const wire::SubmitRecord& record);
  void execute(Task& task);
  void deliver(std::uint64_t seq, wire::Outcome outcome, std::string payload);
  void send(const std::string& peer, const wire::Message& message);

  const std::uint64_t epoch_;
  int port_ = 0;
  zmq::context_t context_;
  zmq::socket_t router_;
  std::atomic<bool> stop_{false};
  std::string client_;  // routing id
  std::map<std::uint32_t, wire::TaskSpec> specs_;
  std::map<std::uint64_t, Task> held_;
  std::map<BlobId, std::string> results_;
  std::uint64_t delivered_ = 0;
  std::thread thread_;
};

}  // namespace weft::client::test

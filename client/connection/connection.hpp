// SPDX-License-Identifier: MIT
// Connection: starts and stops the I/O thread, which runs an IoThread. Client and thread share the Inbox and
// the progress of the thread, so that a Client can be destroyed while its thread is blocked in a name lookup.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "client/connection/inbox.hpp"
#include "weft/options.hpp"

namespace weft::detail {

class Connection {
 public:
  /// Connects, and waits for the first WELCOME. Throws ConnectionError, which names the address, and
  /// std::invalid_argument for invalid options.
  explicit Connection(ClientOptions options);
  /// Sends GOODBYE; tasks that are neither done nor detached are cancelled. Takes at most a second, plus up
  /// to 10 s while detached tasks or cancels of them are in flight. Does nothing in a forked child.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }
  const std::string& address() const { return options_.address; }
  /// Throws Error in a forked child.
  void check_usable() const;

 private:
  struct Progress;  // whether the I/O thread is greeted and has ended

  void stop();

  ClientOptions options_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Progress> progress_;
  std::thread thread_;
};

/// "3 detached tasks were refused, ...: the reason"
std::string text_of(const Inbox::Refusals& refusals);

/// The address from the options or $WEFT_BROKER, as "tcp://host:port". Throws std::invalid_argument.
std::string broker_address(const std::string& address);

}  // namespace weft::detail

// SPDX-License-Identifier: MIT
// Core: the shell around client::Session. One thread owns the link, the session and the table of
// futures; it turns frames and the Hub's inbox into events and performs the actions. It is shared by
// the Client and that thread, so that a Client may go while a name server lets the thread wait.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "client/hub.hpp"
#include "weft/options.hpp"

namespace weft::detail {

class Core {
 public:
  /// Connects. Throws ConnectionError that names the address, std::invalid_argument for options that
  /// make no sense.
  explicit Core(ClientOptions options);
  /// GOODBYE; what is neither done nor detached is cancelled. Takes at most a second, beside the time that
  /// the journal needs for detached tasks and the broker for their cancels; does nothing in a forked child.
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  const std::shared_ptr<Hub>& hub() const { return hub_; }
  const std::string& address() const { return options_.address; }
  /// Throws Error in a forked child.
  void check_usable() const;

 private:
  struct Progress;  // of the I/O thread, shared with it

  void stop();

  ClientOptions options_;
  std::shared_ptr<Hub> hub_;
  std::shared_ptr<Progress> progress_;
  std::thread thread_;
};

/// "3 detached tasks were refused, ...: the reason"
std::string text_of(const Hub::Refusals& refusals);

/// What the options and $WEFT_BROKER say, as "tcp://host:port". Throws std::invalid_argument.
std::string broker_address(const std::string& address);

}  // namespace weft::detail

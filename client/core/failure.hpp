// SPDX-License-Identifier: MIT
// What a FutureState points to: Failure, if the task has no value, and TaskInfo, the data that it shares with
// other tasks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/wire/messages.hpp"
#include "weft/detail/intrusive_ptr.hpp"

namespace weft::detail {

class Inbox;

/// Why a future has no value. The bytes of its FutureState are an encoded wire::ErrorInfo, or the reason if
/// `connection`.
struct Failure {
  ~Failure();

  wire::Outcome outcome = wire::Outcome::failed;
  bool connection = false;     // reported as ConnectionError
  bool local = false;          // decoding failed in this client, although the broker's answer was valid
  std::uint32_t attempts = 0;  // executions
  std::vector<std::string> history;
  wire::Payload arguments;       // for Client::retry
  std::shared_ptr<Inbox> inbox;  // stores the arguments if they are a blob
};

/// The data that all tasks of one function with the same options share.
class TaskInfo : public RefCounted {
 public:
  Uuid session;
  std::string function;
  std::string label;
  bool kept = false;             // the broker retains the answer until the program has it
  wire::TaskSpec content;        // for Client::retry
  std::shared_ptr<Inbox> inbox;  // futures outlive their Client
};

}  // namespace weft::detail

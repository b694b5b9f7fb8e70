// SPDX-License-Identifier: MIT
// What a FutureState refers to beside its bytes: why it has no value, and what its task belongs to.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/messages.hpp"
#include "weft/detail/ref.hpp"

namespace weft::detail {

class Hub;

/// The bytes beside it are an encoded wire::ErrorInfo, or the reason when `connection`.
struct Failure {
  ~Failure();

  wire::Outcome outcome = wire::Outcome::failed;
  bool connection = false;     // it is a ConnectionError
  bool local = false;          // the answer is fine, and not what this client takes it for
  std::uint32_t attempts = 0;  // executions
  std::vector<std::string> history;
  wire::Payload arguments;   // for Client::retry
  std::shared_ptr<Hub> hub;  // has them, if they are a blob
};

/// What all tasks of one function and one set of options have in common.
class TaskInfo : public RefCounted {
 public:
  Uuid session;
  std::string function;
  std::string label;
  bool kept = false;         // by the broker, until the program has the answer
  wire::TaskSpec content;    // for Client::retry
  std::shared_ptr<Hub> hub;  // futures outlive their Client
};

}  // namespace weft::detail

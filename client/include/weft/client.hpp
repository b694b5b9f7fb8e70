// SPDX-License-Identifier: MIT
// Client: a program's connection to a cluster.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "weft/cluster_info.hpp"
#include "weft/error.hpp"
#include "weft/future.hpp"
#include "weft/options.hpp"
#include "weft/submitter.hpp"

namespace weft {

/// For gather(futures, weft::outcomes): errors as values.
struct outcomes_t {
  explicit outcomes_t() = default;
};
inline constexpr outcomes_t outcomes{};

/// One connection to one broker, with a thread that delivers. submit, map, call and command are those of
/// Submitter. May be used from any thread, but not in a child of fork(), where everything but the
/// destructor throws Error.
class Client : public Submitter {
 public:
  /// "host:port" or "tcp://host:port"; "": what $WEFT_BROKER says, else 127.0.0.1:8786. Throws
  /// ConnectionError, naming the address and the last reason, when no broker answers within 10 s,
  /// std::invalid_argument when that is not an address. Calls weft::init() first.
  explicit Client(std::string address = "");
  explicit Client(ClientOptions options);
  /// Within a second: unfinished tasks are cancelled, here and on the cluster. Futures stay usable.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// A view of this client whose tasks have these options: client.with({.retries = 2}).map<f>(inputs).
  /// Throws std::invalid_argument for options that make no sense. Must not outlive the client.
  ClientWith with(TaskOptions options);

  /// Waits for all results, in order; throws the first failure in that order. For Future<void>: waits.
  template <class R>
  auto gather(const std::vector<Future<R>>& futures) {
    if constexpr (std::is_void_v<R>) {
      for (const Future<R>& future : futures) future.result();
    } else {
      std::vector<R> results;
      results.reserve(futures.size());
      for (const Future<R>& future : futures) results.push_back(future.result());
      return results;
    }
  }

  /// Waits for all; result i is that of future i, or its error. Throws ConnectionError when the broker is
  /// gone for good.
  template <class R>
  std::vector<Outcome<R>> gather(const std::vector<Future<R>>& futures, outcomes_t) {
    std::vector<Outcome<R>> results;
    results.reserve(futures.size());
    for (const Future<R>& future : futures) {
      if (std::optional<TaskError> error = future.error()) {
        results.emplace_back(std::move(*error));
      } else {
        results.push_back(outcome_of(future));
      }
    }
    return results;
  }

  /// Asks the broker for its workers, slots and tasks. Throws ConnectionError when it does not answer.
  ClusterInfo cluster();

 private:
  template <class R>
  static Outcome<R> outcome_of(const Future<R>& future) {
    try {
      if constexpr (std::is_void_v<R>) {
        future.result();
        return Outcome<R>();
      } else {
        return Outcome<R>(future.result());
      }
    } catch (const TaskError& error) {  // it does not decode
      return Outcome<R>(error);
    }
  }

  std::unique_ptr<detail::Core> owned_core_;
};

}  // namespace weft

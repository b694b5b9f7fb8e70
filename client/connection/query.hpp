// SPDX-License-Identifier: MIT
// Queries a broker over a separate connection, without a session: for `weft`, Client::cluster() and
// Client::attach(). All functions throw ConnectionError, which names the address and the reason, when no
// answer arrives within `timeout`.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/wire/messages.hpp"

namespace weft::client {

/// `details`: also the lists of workers, clients and waiting tasks.
wire::Status query_status(const std::string& address, bool details, std::chrono::milliseconds timeout);
/// The detached tasks with this label.
wire::Found query_detached(const std::string& address, const std::string& label,
                           std::chrono::milliseconds timeout);
/// The answer to a DrainWorker or Why.
wire::Answer query_answer(const std::string& address, const wire::Message& question,
                          std::chrono::milliseconds timeout);

}  // namespace weft::client

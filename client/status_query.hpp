// SPDX-License-Identifier: MIT
// Asks a broker how it is, on a connection of its own and without being a client: for `weft ping`,
// `weft status` and Client::cluster().
#pragma once

#include <chrono>
#include <string>

#include "common/messages.hpp"

namespace weft::client {

/// Throws ConnectionError that names the address and the reason when no answer comes within `timeout`.
wire::Status query_status(const std::string& address, bool details, std::chrono::milliseconds timeout);

}  // namespace weft::client

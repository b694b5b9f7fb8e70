// SPDX-License-Identifier: MIT
// The output of the `weft` command. Pure.
#pragma once

#include <string>

#include "common/wire/messages.hpp"

namespace weft::client {

/// One line: version, epoch, slots.
std::string ping_text(const std::string& address, const wire::Status& status);
/// Tables of the broker, its workers, its clients, and waiting tasks, for people.
std::string status_text(const std::string& address, const wire::Status& status);
/// status_text() as one JSON object, for programs.
std::string status_json(const std::string& address, const wire::Status& status);

}  // namespace weft::client

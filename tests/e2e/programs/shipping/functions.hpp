// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <weft/weft.hpp>

/// Each file has a static function `name` and lambdas with the same source text. These functions submit those
/// of their file: "first first-lambda-1 ...".
std::string submit_from_first(weft::Client& client);
std::string submit_from_second(weft::Client& client);

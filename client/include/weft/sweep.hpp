// SPDX-License-Identifier: MIT
// Sweep: the detached tasks of one function that one client has submitted under one label, as returned by
// Client::sweeps().
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace weft {

struct Sweep {
  std::string label;
  std::string function;
  std::string client;   ///< ClientOptions::name, or program@host
  std::string host;     ///< of that client
  std::string session;  ///< of that client: the first part of its task ids, in full
  std::chrono::system_clock::time_point submitted;  ///< when its first task reached the broker
  std::size_t tasks = 0;
  std::size_t finished = 0;  ///< how many of them have an answer
};

}  // namespace weft

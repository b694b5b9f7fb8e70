// SPDX-License-Identifier: MIT
// Sweep: detached tasks of one function that one client has submitted under one label, as Client::sweeps()
// returns them.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace weft {

struct Sweep {
  std::string label;
  std::string function;
  std::string client;   ///< ClientOptions::name, else program@host
  std::string host;     ///< of that client
  std::string session;  ///< that client: the first part of the ids of its tasks, in full
  std::chrono::system_clock::time_point submitted;  ///< its first task that the broker has
  std::size_t tasks = 0;
  std::size_t finished = 0;  ///< and how many of them have an answer
};

}  // namespace weft

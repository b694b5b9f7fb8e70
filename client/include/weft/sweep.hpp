// SPDX-License-Identifier: MIT
// Sweep: the detached tasks of one function that one client has submitted with one label, as returned by
// Client::sweeps().
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace weft {

/// One sweep, and the client that has submitted it.
struct Sweep {
  std::string label;
  std::string function;  ///< name of the function
  std::string client;    ///< ClientOptions::name, or program@host
  std::string host;      ///< of the client
  std::string session;   ///< of the client, in full; task ids show the first 8 digits
  std::chrono::system_clock::time_point submitted;  ///< when the first task of the sweep reached the broker
  std::size_t tasks = 0;
  std::size_t finished = 0;  ///< tasks that have an answer
};

}  // namespace weft

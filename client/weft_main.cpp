// SPDX-License-Identifier: MIT
// weft: asks a running cluster how it is.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "client/core.hpp"
#include "client/status_query.hpp"
#include "client/status_text.hpp"

namespace {

constexpr int kUsage = 2;

void ping(const std::string& address, std::chrono::milliseconds timeout) {
  const weft::wire::Status status = weft::client::query_status(address, false, timeout);
  fmt::print("{}", weft::client::ping_text(address, status));
}

void show_status(const std::string& address, std::chrono::milliseconds timeout, bool json) {
  const weft::wire::Status status = weft::client::query_status(address, true, timeout);
  fmt::print("{}",
             json ? weft::client::status_json(address, status) : weft::client::status_text(address, status));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("weft: asks a Weft cluster how it is", "weft");
  app.set_version_flag("--version", "weft " WEFT_VERSION);
  app.require_subcommand(1);

  std::string address;
  double timeout_s = 3;
  bool json = false;
  const auto add = [&](const char* name, const char* what) {
    CLI::App* command = app.add_subcommand(name, what);
    command->add_option("ADDRESS", address,
                        "host:port of the broker; default: $WEFT_BROKER, else 127.0.0.1:8786");
    command->add_option("--timeout", timeout_s, "seconds to wait for an answer")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    return command;
  };
  const CLI::App* ping_command =
      add("ping", "version, epoch and slots of a broker; exit 1 when none answers");
  CLI::App* status_command = add("status", "broker, workers, clients and tasks that wait");
  status_command->add_flag("--json", json, "for programs");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  const std::chrono::milliseconds timeout(static_cast<long>(timeout_s * 1000));
  try {
    address = weft::detail::broker_address(address);
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "weft: {}\n", error.what());
    return kUsage;
  }
  try {
    ping_command->parsed() ? ping(address, timeout) : show_status(address, timeout, json);
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft: {}\n", error.what());
    return 1;
  }
  return 0;
}

// SPDX-License-Identifier: MIT
// Any program as a task: arguments and stdin go in; exit code, stdout and stderr come out. The program must
// be installed on the workers; a script need not be, since it can be passed as an argument or as stdin.
//
//   commands --each 10,100,1000 -- python3 -c 'import sys; print(sum(range(int(sys.argv[1]))))' {}
//   commands --each a,b,c --stdin script.py -- python3 - {}
//
// runs the command once for every value of --each, with the argument {} replaced by the value.
#include <weft/weft.hpp>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

std::string read(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Returns the number of failed commands.
int run(const std::string& broker, const std::vector<std::vector<std::string>>& commands,
        const std::string& input) {
  weft::Client client(broker);
  std::vector<weft::Future<weft::CommandResult>> futures;
  for (const auto& argv : commands) futures.push_back(client.command(argv, input));

  int failed = 0;
  const auto outcomes = client.gather(futures, weft::outcomes);  // one for each future, in order
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    fmt::print("$ {}\n", fmt::join(commands[i], " "));
    if (!outcomes[i].ok()) {  // the command did not run, for example because the program does not exist
      fmt::print("{}\n", outcomes[i].error().what());
      ++failed;
      continue;
    }
    // A program that ran and exits with 3 is a result like any other.
    const weft::CommandResult& result = outcomes[i].value();
    fmt::print("exit code {}\n", result.exit_code);
    if (!result.out.empty()) fmt::print("stdout:\n{}{}", result.out, result.out.ends_with('\n') ? "" : "\n");
    if (!result.err.empty()) fmt::print("stderr:\n{}{}", result.err, result.err.ends_with('\n') ? "" : "\n");
    failed += result.exit_code != 0;
  }
  return failed;
}

int main(int argc, char** argv) {
  std::string broker, stdin_file;
  std::vector<std::string> command, each;
  CLI::App app{"Runs a command on a Weft cluster, once for every value.", "commands"};
  app.failure_message(CLI::FailureMessage::help);
  app.add_option("--broker", broker, "address of the broker; default $WEFT_BROKER or 127.0.0.1:8786");
  app.add_option("--each", each, "values: the command runs once for each, as its argument {}")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--stdin", stdin_file, "a file that every command reads as its stdin");
  app.add_option("command", command, "after --: the program and its arguments")->required();
  try {
    app.parse(argc, argv);
    if (each.empty()) each.push_back("{}");  // the command runs once, unchanged
    std::vector<std::vector<std::string>> commands;
    for (const std::string& value : each) {
      auto& one = commands.emplace_back(command);
      std::ranges::replace(one, std::string("{}"), value);
    }
    return run(broker, commands, stdin_file.empty() ? "" : read(stdin_file)) == 0 ? 0 : 1;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "commands: {}\n", error.what());
    return 2;  // the address is invalid
  } catch (const std::exception& error) {
    fmt::print(stderr, "commands: {}\n", error.what());
    return 1;
  }
}

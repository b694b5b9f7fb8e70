// SPDX-License-Identifier: MIT
// How a runner is started: what its environment says, and the functions of the program.
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/runner/program_functions.hpp"
#include "common/runner/runner_libraries.hpp"
#include "common/runner/runner_loop.hpp"
#include "weft/function.hpp"

namespace weft::runner {

namespace {

detail::ByteBuffer execute_program(const std::vector<detail::RegisteredFunction>& functions, const Call& call,
                                   std::string_view payload) {
  const RunTask& task = call.task;
  if (call.named != nullptr) throw Failure{"", "a shipped program serves its own functions only"};
  if (task.function_index >= functions.size()) {
    throw Failure{"", "function number " + std::to_string(task.function_index) +
                          " was asked for, this program has " + std::to_string(functions.size())};
  }
  return functions[task.function_index].invoke(payload);
}

}  // namespace

std::optional<Start> parse_start(std::string_view text) {
  Start out;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int* field : {&out.version, &out.channel, &out.memory}) {
    const auto [next, error] = std::from_chars(at, end, *field);
    if (error != std::errc{} || *field < 0) return std::nullopt;
    at = next;
    // For another version, the rest may have another format.
    if (field == &out.version && out.version != kChannelVersion) return Start{.version = out.version};
    if (field != &out.memory && (at == end || *at++ != ':')) return std::nullopt;
  }
  return at == end ? std::optional(out) : std::nullopt;
}

Source program_source() {
  Source out;
  // Sorted by definition, so that the order is the same in every runner of the program.
  std::map<std::string, detail::RegisteredFunction> by_definition;
  for (const detail::RegisteredFunction& function : detail::registered_functions()) {
    if (const auto where = locate_code(address_of(function)))
      by_definition.emplace(definition_of(function, object_of(*where), where->offset), function);
  }
  std::vector<detail::RegisteredFunction> functions;
  for (const auto& [definition, function] : by_definition) {
    out.functions.push_back({function.name(), definition});
    functions.push_back(function);
  }
  out.execute = [functions = std::move(functions)](const Call& call, std::string_view payload) {
    return execute_program(functions, call, payload);
  };
  return out;
}

}  // namespace weft::runner

// SPDX-License-Identifier: MIT
#include "client/connection/spec_table.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/wire/codec.hpp"

namespace weft::client {

namespace {

/// A concatenation of all parts of target and options that distinguish two specs.
std::string key_of(const detail::CallTarget& target, const TaskOptions* options) {
  std::string key;
  const auto number = [&](auto value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto text = [&](std::string_view value) {
    number(value.size());
    key += value;
  };
  number(target.kind);
  number(target.function_index);
  text(target.function);
  text(target.signature);
  if (options == nullptr || *options == TaskOptions{}) return key;
  number(options->priority);
  number(options->retries);
  number(options->retry_delay.count());
  number(options->timeout.count());
  number(options->queue_timeout.count());
  number(options->crash_limit);
  number(options->resources.size());
  for (const auto& [name, amount] : options->resources) {
    text(name);
    number(amount);
  }
  for (const auto* names : {&options->workers, &options->prefer}) {
    number(names->size());
    for (const std::string& name : *names) text(name);
  }
  text(options->label);
  number(options->detach);
  text(options->directory);
  number(options->threads);
  number(options->environment.size());
  for (const auto& [name, value] : options->environment) {
    text(name);
    text(value);
  }
  return key;
}

wire::TaskSpec content_of(const detail::CallTarget& target, const TaskOptions& options) {
  return {.kind = static_cast<wire::TaskKind>(target.kind),
          .function_index = target.function_index,
          .function = target.display_name != nullptr ? target.display_name() : std::string(target.function),
          .signature = std::string(target.signature),
          .label = options.label,
          .priority = options.priority,
          .retries = static_cast<std::uint32_t>(options.retries),
          .retry_delay_ms = static_cast<std::uint64_t>(options.retry_delay.count()),
          .timeout_ms = static_cast<std::uint64_t>(options.timeout.count()),
          .queue_timeout_ms = static_cast<std::uint64_t>(options.queue_timeout.count()),
          .crash_limit = static_cast<std::uint32_t>(options.crash_limit),
          .resources = options.resources,
          .workers = options.workers,
          .prefer = options.prefer,
          .detach = options.detach,
          .directory = options.directory,
          .threads = static_cast<std::uint32_t>(options.threads),
          .environment = options.environment};
}

/// Checks the size of a DEFINE, to which the broker adds a session when it forwards the DEFINE to workers.
void check_size(const wire::TaskSpec& content) {
  constexpr std::size_t kAdded = 64;
  const std::size_t bytes = wire::encode(wire::Define{.content = content}).size() + kAdded;
  if (bytes <= wire::kMessageBytesMax) return;
  throw std::invalid_argument("the description of this call takes " + std::to_string(bytes) +
                              " bytes, and a message has at most " + std::to_string(wire::kMessageBytesMax) +
                              ": the function's name " + std::to_string(content.function.size()) +
                              ", its signature " + std::to_string(content.signature.size()) + ", its label " +
                              std::to_string(content.label.size()) + " bytes, " +
                              std::to_string(content.libraries.size()) + " libraries");
}

}  // namespace

std::size_t encoded_size(const TaskOptions& options) {
  return wire::encode(wire::Define{.content = content_of({}, options)}).size();
}

const SpecTable::Spec& SpecTable::intern(const detail::CallTarget& target, const TaskOptions* options,
                                         std::vector<Event>& events) {
  const bool plain = options == nullptr && target.kind == detail::CallKind::program;
  if (plain) {
    if (const auto it = defaults_.find(target.function_index); it != defaults_.end()) {
      it->second->used = ++uses_;
      return *it->second;
    }
  }
  std::string key = key_of(target, options);
  if (target.kind == detail::CallKind::program) {
    key += std::to_string(start_.size());
    key.append(libraries_.bytes.begin(), libraries_.bytes.end());
  }
  auto it = specs_.find(key);
  if (it == specs_.end()) {
    wire::TaskSpec content = content_of(target, options != nullptr ? *options : TaskOptions{});
    if (target.kind == detail::CallKind::program) {
      describe_(target.function_index, content);
      content.start = start_;
    }
    check_size(content);
    if (specs_.size() >= specs_max_) retire_old(events);
    it = specs_.try_emplace(std::move(key)).first;
    Spec& spec = it->second;
    spec.number = next_number_++;
    spec.info = make_info_(content.function, content.label);
    spec.info->kept = content.detach || content.kind == wire::TaskKind::attached;
    spec.info->content = content;
    events.push_back(DefineSpec{spec.number, std::move(content)});
  }
  Spec& spec = it->second;
  spec.used = ++uses_;
  if (plain) defaults_[target.function_index] = &spec;
  return spec;
}

void SpecTable::add_start_call(wire::StartCall call) {
  if (std::find(start_.begin(), start_.end(), call) != start_.end()) return;
  start_.push_back(std::move(call));
  defaults_.clear();  // the cached specs lack the call
}

void SpecTable::set_libraries(const BlobId& hash) {
  if (hash == libraries_) return;
  libraries_ = hash;
  defaults_.clear();  // the cached specs have other libraries
}

/// Retires the least recently used half (eviction), so that the pass over all specs is needed only once for
/// many new ones.
void SpecTable::retire_old(std::vector<Event>& events) {
  std::vector<std::uint64_t> uses;
  for (const auto& [key, spec] : specs_) uses.push_back(spec.used);
  const auto middle = uses.begin() + static_cast<std::ptrdiff_t>(uses.size() / 2);
  std::nth_element(uses.begin(), middle, uses.end());
  const std::uint64_t oldest_kept = *middle;
  std::erase_if(defaults_, [&](const auto& entry) { return entry.second->used < oldest_kept; });
  std::vector<std::uint32_t> retired;
  std::erase_if(specs_, [&](const auto& entry) {
    if (entry.second.used >= oldest_kept) return false;
    retired.push_back(entry.second.number);
    return true;
  });
  std::sort(retired.begin(), retired.end());
  for (const std::uint32_t number : retired) events.push_back(RetireSpec{number});
}

}  // namespace weft::client

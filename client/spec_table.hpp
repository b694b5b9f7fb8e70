// SPDX-License-Identifier: MIT
// SpecTable numbers what programs submit: the same function with the same options is the same spec,
// which travels once. Specs that were not used for long are retired, so that a program that labels
// each task differently does not fill client and broker. Pure; a part of Hub.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/failure.hpp"
#include "client/session_events.hpp"
#include "weft/detail/submission.hpp"

namespace weft::client {

/// What options take of a message.
std::size_t encoded_size(const TaskOptions& options);
/// Options that are larger leave no room for the rest of a DEFINE.
inline constexpr std::size_t kOptionsBytesMax = wire::kMessageBytesMax - (128 << 10);

class SpecTable {
 public:
  struct Spec {
    std::uint32_t number = 0;
    detail::Ref<detail::TaskInfo> info;
    std::uint64_t used = 0;
  };
  /// Makes what futures of a new spec share.
  using MakeInfo =
      std::function<detail::Ref<detail::TaskInfo>(const std::string& function, const std::string& label)>;

  /// Adds to a spec of kind program what travels, and what the function is there. May throw Error.
  using Describe = std::function<void(std::uint32_t function_index, wire::TaskSpec& spec)>;

  SpecTable(MakeInfo make_info, Describe describe, std::size_t specs_max = 1000)
      : make_info_(std::move(make_info)), describe_(std::move(describe)), specs_max_(specs_max) {}

  /// The spec of a call. A new one is defined, and old ones may be retired, by what is appended to
  /// `events`. The reference holds until the next call. Throws what Describe throws, and
  /// std::invalid_argument when its DEFINE would be larger than a message may be; then nothing has changed.
  const Spec& intern(const detail::CallTarget& target, const TaskOptions* options,
                     std::vector<Event>& events);

  /// For a spec that is defined once more.
  std::uint32_t take_number() { return next_number_++; }
  /// From now on every spec of a shipped program has this call for each of its runners.
  void add_start_call(wire::StartCall call);
  /// Which libraries travel with a shipped program from now on: with others, a spec is another one.
  void set_libraries(const BlobId& hash);

  /// Forgets every spec without a word to anyone.
  void clear() {
    defaults_.clear();
    specs_.clear();
  }

  std::size_t size() const { return specs_.size(); }

 private:
  void retire_old(std::vector<Event>& events);

  MakeInfo make_info_;
  Describe describe_;
  const std::size_t specs_max_;
  std::unordered_map<std::string, Spec> specs_;        // by everything that tells them apart
  std::unordered_map<std::uint32_t, Spec*> defaults_;  // by function index: program, no options
  std::vector<wire::StartCall> start_;
  BlobId libraries_;
  std::uint32_t next_number_ = 1;
  std::uint64_t uses_ = 0;
};

}  // namespace weft::client

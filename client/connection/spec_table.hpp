// SPDX-License-Identifier: MIT
// SpecTable numbers the specs of a program: the same function with the same options is the same spec, which
// is sent once. The least recently used specs are retired (eviction), so that a program that labels each task
// differently does not fill client and broker. Pure; part of Inbox.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/core/events.hpp"
#include "client/core/failure.hpp"
#include "weft/detail/submission.hpp"

namespace weft::client {

/// The encoded size of options.
std::size_t encoded_size(const TaskOptions& options);
/// With larger options, a DEFINE could exceed the maximum message size.
inline constexpr std::size_t kOptionsBytesMax = wire::kMessageBytesMax - (128 << 10);

class SpecTable {
 public:
  struct Spec {
    std::uint32_t number = 0;
    detail::IntrusivePtr<detail::TaskInfo> info;
    std::uint64_t used = 0;  // value of uses_ at the last use
  };
  /// Makes the TaskInfo that the futures of a new spec share.
  using MakeInfo = std::function<detail::IntrusivePtr<detail::TaskInfo>(const std::string& function,
                                                                        const std::string& label)>;

  /// Completes a spec of kind program with its files and the definition of the function. May throw Error.
  using Describe = std::function<void(std::uint32_t function_index, wire::TaskSpec& spec)>;

  SpecTable(MakeInfo make_info, Describe describe, std::size_t specs_max = 1000)
      : make_info_(std::move(make_info)), describe_(std::move(describe)), specs_max_(specs_max) {}

  /// The spec of a call. Appends to `events` the definition of a new spec and the retirement of old ones. The
  /// reference is valid until the next call. Throws what Describe throws, and std::invalid_argument when the
  /// DEFINE of the spec would exceed the maximum message size; then nothing has changed.
  const Spec& intern(const detail::CallTarget& target, const TaskOptions* options,
                     std::vector<Event>& events);

  /// A number for a spec that is defined again.
  std::uint32_t take_number() { return next_number_++; }
  /// Adds this call to every later spec of a shipped program.
  void add_start_call(wire::StartCall call);
  /// Sets which libraries are shipped with a program from now on: specs with other libraries are different
  /// specs.
  void set_libraries(const BlobId& hash);

  /// Forgets every spec without an event.
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
  std::unordered_map<std::string, Spec> specs_;  // by key_of() their call, start calls and libraries
  // cache of the specs of kind program without options, by function index
  std::unordered_map<std::uint32_t, Spec*> defaults_;
  std::vector<wire::StartCall> start_;
  BlobId libraries_;
  std::uint32_t next_number_ = 1;
  std::uint64_t uses_ = 0;
};

}  // namespace weft::client

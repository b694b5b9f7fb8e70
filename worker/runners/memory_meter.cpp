// SPDX-License-Identifier: MIT
#include "worker/runners/memory_meter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "common/base/quantity.hpp"
#include "worker/runners/memory.hpp"

namespace weft::worker {

namespace {

/// The number in `file`; 0: no number ("max"), or no such file.
std::uint64_t number_in(const std::string& file) {
  std::uint64_t number = 0;
  std::ifstream(file) >> number;
  return number;
}

/// The numbers in lines of "name number" or "name: number kB", by position in `names`.
std::vector<std::uint64_t> numbers_in(const std::string& file, const std::vector<std::string>& names) {
  std::vector<std::uint64_t> numbers(names.size());
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t number = 0;
    words >> name >> number;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) numbers[static_cast<std::size_t>(found - names.begin())] = number;
  }
  return numbers;
}

std::uint64_t limit_of(const OwnGroup& group) {
  return number_in(group.directory + (group.version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
}

/// Memory in use, without the page cache, which the kernel can drop at once.
std::uint64_t used_in(const OwnGroup& group) {
  const std::string prefix = group.version_2 ? "" : "total_";
  const auto files =
      numbers_in(group.directory + "/memory.stat", {prefix + "inactive_file", prefix + "active_file"});
  const std::uint64_t all =
      number_in(group.directory + (group.version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
  return all - std::min(all, files[0] + files[1]);
}

/// Total and available bytes of the machine.
std::vector<std::uint64_t> machine_bytes(const std::string& meminfo) {
  auto bytes = numbers_in(meminfo, {"MemTotal:", "MemAvailable:"});
  for (std::uint64_t& each : bytes) each *= 1024;
  return bytes;
}

double part(const MemoryUsed& memory) {
  return static_cast<double>(memory.used) / static_cast<double>(memory.limit);
}

}  // namespace

MemoryMeter::MemoryMeter(std::optional<std::uint64_t> own_limit, const GroupFiles& files, std::string meminfo)
    : own_limit_(own_limit), groups_(own_groups("memory", files)), meminfo_(std::move(meminfo)) {}

std::uint64_t MemoryMeter::limit() const {
  std::vector<std::uint64_t> limits{own_limit_.value_or(0), machine_bytes(meminfo_)[0]};
  for (const OwnGroup& group : groups_) limits.push_back(limit_of(group));
  std::erase(limits, 0U);
  return limits.empty() ? 0 : *std::min_element(limits.begin(), limits.end());
}

MemoryUsed MemoryMeter::read(std::uint64_t blob_bytes) const {
  MemoryUsed nearest{0, 1, ""};
  const auto consider = [&nearest](std::uint64_t used, std::uint64_t limit, std::string_view of) {
    if (limit == 0) return;
    const MemoryUsed one{used, limit, fmt::format("{} of {}", of, format_bytes(limit))};
    if (nearest.of.empty() || part(one) > part(nearest)) nearest = one;
  };
  if (own_limit_)
    consider(ProcessTable().private_bytes_of(getpid()) + blob_bytes, *own_limit_, "its memory (--memory)");
  for (const OwnGroup& group : groups_)
    consider(used_in(group), limit_of(group), "the memory of its control group");
  const auto machine = machine_bytes(meminfo_);
  if (machine[1] > 0)  // missing on old kernels
    consider(machine[0] - std::min(machine[0], machine[1]), machine[0], "the memory of its machine");
  return nearest;
}

}  // namespace weft::worker

// SPDX-License-Identifier: MIT
// Named resources of a worker (--resources), and which task holds which index of those that have indices
// ("gpu=[0,1]": a task is told which device it has).
//
// The broker counts amounts and never assigns more of a resource than the worker has. Indices are allocated
// here and do not travel to the broker.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace weft::worker {

using Amounts = std::map<std::string, double>;
using Indices = std::map<std::string, std::vector<std::int32_t>>;

/// Parsed --resources.
struct OfferedResources {
  Amounts amounts;  // all resources; the amount of one with indices is their number
  Indices indices;  // of the resources that have indices
  bool operator==(const OfferedResources&) const = default;
};

/// Reads "gpu=[0,1],licence=2": NAME=AMOUNT or NAME=[INDEX,...], separated by commas.
Result<OfferedResources> parse_resources(std::string_view text);

/// One line "gpu=0,1" for each resource, the form in which a runner gets them.
std::string indices_text(const Indices& indices);

/// Tracks which indices are taken. A task that asks for 2 holds two whole indices; several tasks that ask for
/// 0.5 share one; 1.5 is one whole index and half of another.
class IndexAllocator {
 public:
  explicit IndexAllocator(const Indices& all);

  /// Whether `amounts` asks for a resource that has indices.
  bool concerns(const Amounts& amounts) const;

  /// Takes indices for all amounts, or none: nullopt when too few are free. Fills shared indices before it
  /// starts to share another one.
  std::optional<Indices> take(const Amounts& amounts);
  /// Takes exactly these indices. False: `amounts` needs others, or one of these is taken.
  bool take_again(const Amounts& amounts, const Indices& these);
  /// Returns indices. REQUIRES: they were taken for `amounts`.
  void give_back(const Amounts& amounts, const Indices& indices);
  /// Whether take() would succeed.
  bool would_fit(const Amounts& amounts) const;

 private:
  struct Index {
    std::int32_t number = 0;
    double taken = 0;  // 0 to 1
  };
  static std::vector<Index>::iterator find(std::vector<Index>& all, std::int32_t number);
  std::optional<Indices> choose(const Amounts& amounts) const;
  void change(const Amounts& amounts, const Indices& indices, double sign);

  std::map<std::string, std::vector<Index>> resources_;
};

}  // namespace weft::worker

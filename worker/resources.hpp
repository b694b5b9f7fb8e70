// SPDX-License-Identifier: MIT
// Named resources of a worker, as --resources lists them, and which task holds which index of those that
// have indices ("gpu=[0,1]": tasks are told which device is theirs).
//
// The broker counts amounts and never assigns more of a resource than the worker has. Indices are this
// worker's own business, and do not travel.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.hpp"

namespace weft::worker {

using Amounts = std::map<std::string, double>;
using Indices = std::map<std::string, std::vector<std::int32_t>>;

/// What --resources says.
struct OfferedResources {
  Amounts amounts;  // all of them; one with indices counts as many as it has
  Indices indices;  // of those that have some
  bool operator==(const OfferedResources&) const = default;
};

/// Reads "gpu=[0,1],licence=2": NAME=AMOUNT or NAME=[INDEX,...], separated by commas.
Result<OfferedResources> parse_resources(std::string_view text);

/// "gpu=0,1" for each resource, one a line: how a runner is told.
std::string indices_text(const Indices& indices);

/// Which indices are taken. A task that asks for 2 holds two whole ones; several tasks that ask for 0.5
/// share one; 1.5 is a whole one and a half of another.
class IndexAllocator {
 public:
  explicit IndexAllocator(const Indices& all);

  /// Whether an amount is asked of a resource that has indices.
  bool concerns(const Amounts& amounts) const;

  /// Takes indices for all amounts, or nothing: nullopt when too few are free. Shared indices are filled
  /// before whole ones are begun.
  std::optional<Indices> take(const Amounts& amounts);
  /// Takes exactly these. False: other ones are needed, or one of them is not free.
  bool take_again(const Amounts& amounts, const Indices& these);
  /// REQUIRES: `indices` were taken for `amounts`.
  void give_back(const Amounts& amounts, const Indices& indices);
  /// Whether take() would find some.
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

// SPDX-License-Identifier: MIT
#include "broker/scheduler/fair_turns.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "common/base/check.hpp"

namespace weft::broker {

void FairTurns::change(Turn& turn, bool waits) {
  turn.waits = waits;
  if (waits) {
    turn.used_us = std::max(turn.used_us, clock_us_);
    order_.insert(key_of(turn));
  } else {
    order_.erase(key_of(turn));
  }
}

void FairTurns::charge(Turn& turn, double us) {
  auto place = order_.extract(key_of(turn));  // empty if the client does not wait
  turn.used_us += us;
  if (!place) return;
  place.value() = key_of(turn);
  order_.insert(std::move(place));
}

FairTurns::Next FairTurns::next() {
  const auto may = [this](const Key& key) { return std::get<Turn*>(key)->blocked_in != pass_; };
  const auto first = std::find_if(order_.begin(), order_.end(), may);
  if (first == order_.end()) return {};
  const auto second = std::find_if(std::next(first), order_.end(), may);
  clock_us_ = std::get<double>(*first);
  return {std::get<Turn*>(*first),
          second != order_.end() ? std::get<double>(*second) + quantum_us_ : HUGE_VAL};
}

void FairTurns::check_invariants(Turn& turn) const {
  WEFT_CHECK(order_.contains(key_of(turn)) == turn.waits);
}

}  // namespace weft::broker

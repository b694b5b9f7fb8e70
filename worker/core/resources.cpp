// SPDX-License-Identifier: MIT
#include "worker/core/resources.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/base/check.hpp"

namespace weft::worker {

namespace {

constexpr double kRounding = 1e-9;  // 0.1 + 0.2 is not 0.3

/// How an amount is spread over indices: `whole` full ones, and a `part` of another.
struct Share {
  explicit Share(double amount)
      : whole(static_cast<std::size_t>(std::floor(amount + kRounding))),
        part(std::max(0.0, amount - static_cast<double>(whole))) {
    if (part < kRounding) part = 0;
  }
  std::size_t count() const { return whole + (part > 0 ? 1 : 0); }
  double at(std::size_t position) const { return position < whole ? 1 : part; }

  std::size_t whole;
  double part;
};

Fault not_an_entry(std::string_view entry) {
  return Fault{
      fmt::format("'{}' is neither NAME=AMOUNT nor NAME=[INDEX,...], for example gpu=2 or gpu=[0,1]", entry)};
}

/// Splits off the text up to the next comma that is not in brackets; `text` becomes the rest.
std::string_view next_entry(std::string_view& text) {
  bool in_brackets = false;
  std::size_t end = 0;
  for (; end < text.size() && (in_brackets || text[end] != ','); ++end) {
    if (text[end] == '[') in_brackets = true;
    if (text[end] == ']') in_brackets = false;
  }
  const std::string_view entry = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return entry;
}

template <class Number>
bool parse_whole(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

Result<std::vector<std::int32_t>> parse_indices(std::string_view entry, std::string_view list) {
  std::vector<std::int32_t> out;
  while (true) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::int32_t index = -1;
    if (!parse_whole(list.substr(0, comma), index) || index < 0) return not_an_entry(entry);
    if (std::find(out.begin(), out.end(), index) != out.end()) {
      return Fault{fmt::format("'{}' names the index {} twice", entry, index)};
    }
    out.push_back(index);
    if (comma == list.size()) return out;
    list.remove_prefix(comma + 1);
  }
}

bool is_name(std::string_view name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '[';
  });
}

}  // namespace

Result<OfferedResources> parse_resources(std::string_view text) {
  OfferedResources out;
  while (!text.empty()) {
    const std::string_view entry = next_entry(text);
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos || !is_name(entry.substr(0, equals))) return not_an_entry(entry);
    const std::string name(entry.substr(0, equals));
    const std::string_view value = entry.substr(equals + 1);
    if (out.amounts.contains(name)) return Fault{fmt::format("'{}' is given twice", name)};
    if (value.size() > 2 && value.front() == '[' && value.back() == ']') {
      auto indices = parse_indices(entry, value.substr(1, value.size() - 2));
      if (!indices) return Fault{indices.fault()};
      out.amounts[name] = static_cast<double>(indices->size());
      out.indices[name] = *std::move(indices);
      continue;
    }
    double amount = 0;
    if (!parse_whole(value, amount) || !(amount > 0) || amount > 1e12) return not_an_entry(entry);
    out.amounts[name] = amount;
  }
  return out;
}

std::string indices_text(const Indices& indices) {
  std::string out;
  for (const auto& [name, numbers] : indices) out += fmt::format("{}={}\n", name, fmt::join(numbers, ","));
  return out;
}

IndexAllocator::IndexAllocator(const Indices& all) {
  for (const auto& [name, numbers] : all)
    for (const std::int32_t number : numbers) resources_[name].push_back({number});
}

bool IndexAllocator::concerns(const Amounts& amounts) const {
  return std::any_of(amounts.begin(), amounts.end(),
                     [this](const auto& need) { return need.second > 0 && resources_.contains(need.first); });
}

std::vector<IndexAllocator::Index>::iterator IndexAllocator::find(std::vector<Index>& all,
                                                                  std::int32_t number) {
  return std::find_if(all.begin(), all.end(), [&](const Index& one) { return one.number == number; });
}

std::optional<Indices> IndexAllocator::take(const Amounts& amounts) {
  auto chosen = choose(amounts);
  if (chosen) change(amounts, *chosen, 1);
  return chosen;
}

bool IndexAllocator::would_fit(const Amounts& amounts) const { return choose(amounts).has_value(); }

std::optional<Indices> IndexAllocator::choose(const Amounts& amounts) const {
  Indices out;
  for (const auto& [name, amount] : amounts) {
    const auto resource = resources_.find(name);
    if (resource == resources_.end()) continue;
    const Share share(amount);
    if (share.count() == 0) continue;
    std::vector<std::int32_t>& chosen = out[name];
    for (const Index& index : resource->second)
      if (chosen.size() < share.whole && index.taken == 0) chosen.push_back(index.number);
    if (chosen.size() < share.whole) return std::nullopt;
    if (share.part == 0) continue;
    const Index* fullest = nullptr;
    for (const Index& index : resource->second) {
      if (index.taken + share.part > 1 + kRounding) continue;
      if (std::find(chosen.begin(), chosen.end(), index.number) != chosen.end()) continue;
      if (fullest == nullptr || index.taken > fullest->taken) fullest = &index;
    }
    if (fullest == nullptr) return std::nullopt;
    chosen.push_back(fullest->number);
  }
  return out;
}

bool IndexAllocator::take_again(const Amounts& amounts, const Indices& these) {
  std::size_t resources = 0;
  for (const auto& [name, amount] : amounts) {
    const auto resource = resources_.find(name);
    const Share share(amount);
    if (resource == resources_.end() || share.count() == 0) continue;
    ++resources;
    const auto held = these.find(name);
    if (held == these.end() || held->second.size() != share.count()) return false;
    for (std::size_t i = 0; i < held->second.size(); ++i) {
      const Index& index = *find(resource->second, held->second[i]);
      if (index.taken + share.at(i) > 1 + kRounding) return false;
    }
  }
  if (resources != these.size()) return false;
  change(amounts, these, 1);
  return true;
}

void IndexAllocator::give_back(const Amounts& amounts, const Indices& indices) {
  change(amounts, indices, -1);
}

void IndexAllocator::change(const Amounts& amounts, const Indices& indices, double sign) {
  for (const auto& [name, numbers] : indices) {
    const Share share(amounts.at(name));
    std::vector<Index>& all = resources_.at(name);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      Index& index = *find(all, numbers[i]);
      index.taken += sign * share.at(i);
      if (index.taken < kRounding) index.taken = 0;  // rounding error
      WEFT_CHECK(index.taken <= 1 + 2 * kRounding);
    }
  }
}

}  // namespace weft::worker

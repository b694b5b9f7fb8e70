// SPDX-License-Identifier: MIT
#include "tests/bench/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "client/cli/bench_clock.hpp"

namespace weft::bench {

std::string short_number(double value) {
  const double size = std::fabs(value);
  if (size >= 999.5e6) return fmt::format("{:.2f} G", value / 1e9);
  if (size >= 999.5e3) return fmt::format("{:.2f} M", value / 1e6);
  if (size >= 9999.5) return fmt::format("{:.0f} k", value / 1e3);
  if (size >= 99.95) return fmt::format("{:.0f}", value);
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  return fmt::format("{:.2f}", value);
}

void Report::add(Sample sample) {
  fmt::print(stderr, "  {}: {} {}", sample.what, short_number(sample.measured), sample.unit);
  if (!sample.beside.empty()) {
    fmt::print(stderr, "; {}: {}; ratio {}", sample.beside, short_number(sample.reference),
               short_number(sample.measured / sample.reference));
  }
  fmt::print(stderr, "\n");
  auto line = std::find_if(lines_.begin(), lines_.end(), [&](const Line& known) {
    return known.first.row == sample.row && known.first.what == sample.what &&
           known.first.beside == sample.beside;
  });
  if (line == lines_.end()) line = lines_.insert(lines_.end(), Line{sample, {}, {}, {}});
  line->measured.push_back(sample.measured);
  if (sample.beside.empty()) return;
  line->references.push_back(sample.reference);
  line->ratios.push_back(sample.measured / sample.reference);
}

void Report::add_curve(const std::map<double, double>& curve) {
  for (const auto& [length, part] : curve) curve_[length].push_back(part);
}

std::map<double, double> Report::curve() const {
  std::map<double, double> medians;
  for (const auto& [length, parts] : curve_) medians[length] = median(parts);
  return medians;
}

std::string Report::svg() const { return curve_.empty() ? "" : efficiency_svg(curve()); }

Report::Cells Report::cells_of(const Line& line) {
  const Sample& first = line.first;
  const bool by_itself = first.beside.empty();
  const double judged = median(by_itself ? line.measured : line.ratios);
  Cells cells;
  cells.row = std::to_string(first.row);
  cells.what = first.what;
  cells.measured = short_number(median(line.measured)) + " " + first.unit;
  if (!by_itself) {
    cells.beside = first.beside;
    cells.reference = short_number(median(line.references)) + " " + first.unit;
    cells.ratio = short_number(judged);
  }
  if (first.want == Want::nothing) return cells;
  const bool at_least = first.want == Want::at_least;
  cells.target = fmt::format("{} {}{}", at_least ? ">=" : "<=", short_number(first.target),
                             by_itself ? " " + first.unit : "");
  cells.met = (at_least ? judged >= first.target : judged <= first.target) ? "yes" : "no";
  return cells;
}

std::vector<Report::Line> Report::sorted() const {
  std::vector<Line> lines = lines_;
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Line& a, const Line& b) { return a.first.row < b.first.row; });
  return lines;
}

std::string Report::text() const {
  std::string out = fmt::format("{:>3} {:<56} {:>16}  {:<44} {:>16} {:>8} {:>14} {}\n", "row", "what",
                                "measured", "beside", "which has", "ratio", "target", "met");
  for (const Line& line : sorted()) {
    const Cells c = cells_of(line);
    out += fmt::format("{:>3} {:<56} {:>16}  {:<44} {:>16} {:>8} {:>14} {}\n", c.row, c.what, c.measured,
                       c.beside, c.reference, c.ratio, c.target, c.met);
  }
  for (const auto& [length, part] : curve())
    out += fmt::format("tasks of {:>8} us: {:5.1f} %\n", short_number(length), part * 100);
  return out;
}

std::string Report::markdown() const {
  std::string out =
      "| # | what | measured | beside it | which has | ratio | target | met |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const Line& line : sorted()) {
    const Cells c = cells_of(line);
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", c.row, c.what, c.measured, c.beside,
                       c.reference, c.ratio, c.target, c.met);
  }
  if (curve_.empty()) return out;
  out += "\n| length of a task |";
  std::string ruler = "\n|---|";
  std::string parts = "\n| of two slots used |";
  for (const auto& [length, part] : curve()) {
    out += length < 1000 ? fmt::format(" {:.0f} us |", length) : fmt::format(" {:.0f} ms |", length / 1000);
    ruler += "---|";
    parts += fmt::format(" {:.0f} % |", part * 100);
  }
  return out + ruler + parts + "\n";
}

double length_at(const std::map<double, double>& curve, double part) {
  for (auto at = curve.begin(); at != curve.end(); ++at) {
    if (at->second < part) continue;
    if (at == curve.begin()) return at->first;
    const auto before = std::prev(at);
    const double weight = (part - before->second) / (at->second - before->second);
    return std::exp(std::log(before->first) + weight * (std::log(at->first) - std::log(before->first)));
  }
  return 0;
}

}  // namespace weft::bench

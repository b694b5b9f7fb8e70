// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/bench/report.hpp"

namespace weft::bench {

namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 360;
constexpr double kLeft = 60;
constexpr double kRight = 620;
constexpr double kTop = 40;
constexpr double kBottom = 300;
constexpr double kShortest_us = 1;
constexpr double kLongest_us = 100'000;

double x_of(double length_us) {
  const double part = std::log(length_us / kShortest_us) / std::log(kLongest_us / kShortest_us);
  return kLeft + part * (kRight - kLeft);
}

double y_of(double part) { return kBottom - std::clamp(part, 0.0, 1.0) * (kBottom - kTop); }

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                     style);
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, text);
}

}  // namespace

std::string efficiency_svg(const std::map<double, double>& curve) {
  constexpr const char* kGrid = "stroke=\"#d8dee4\"";
  constexpr const char* kHalf = "stroke=\"#cf222e\" stroke-dasharray=\"4 3\"";
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\" fill=\"#24292f\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      kWidth, kHeight);
  out += label((kLeft + kRight) / 2, 22, "middle", "Part of two slots' time that tasks use, by their length");
  for (int percent = 0; percent <= 100; percent += 25) {
    const double y = y_of(percent / 100.0);
    out += line(kLeft, y, kRight, y, percent == 50 ? kHalf : kGrid);
    out += label(kLeft - 8, y + 4, "end", fmt::format("{} %", percent));
  }
  static constexpr const char* kNames[] = {"1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"};
  double length = kShortest_us;
  for (const char* name : kNames) {
    out += line(x_of(length), kTop, x_of(length), kBottom, kGrid);
    out += label(x_of(length), kBottom + 20, "middle", name);
    length *= 10;
  }
  out += label((kLeft + kRight) / 2, kBottom + 44, "middle", "length of a task");
  std::string points;
  std::string dots;
  for (const auto& [length_us, part] : curve) {
    points += fmt::format("{:.1f},{:.1f} ", x_of(length_us), y_of(part));
    dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"#0969da\"/>\n", x_of(length_us),
                        y_of(part));
  }
  out +=
      fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"#0969da\" stroke-width=\"2\"/>\n", points);
  out += dots;
  if (const double half = length_at(curve, 0.5); half > 0) {
    out += line(x_of(half), y_of(0.5), x_of(half), kBottom, kHalf);
    out += label(x_of(half) + 6, kBottom - 8, "start", fmt::format("one half at {} us", short_number(half)));
  }
  return out + "</svg>\n";
}

}  // namespace weft::bench

// SPDX-License-Identifier: MIT
// Report collects what the rounds measured and shows medians. A ratio is taken within each round, where the
// two figures stood side by side, and then the median of the ratios.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace weft::bench {

enum class Want { at_least, at_most, nothing };

struct Sample {
  int row = 0;       // in the table of targets
  std::string what;  // with row and `beside`: which line it belongs to
  double measured = 0;
  std::string unit;
  std::string beside;    // what stands beside it; "": the target is for the figure itself
  double reference = 0;  // of that
  Want want = Want::nothing;
  double target = 0;  // of the ratio, or of the figure
};

class Report {
 public:
  /// Adds a figure, and prints it on stderr.
  void add(Sample sample);
  /// One round's curve: efficiency by the length of a task in us.
  void add_curve(const std::map<double, double>& curve);

  std::string text() const;
  std::string markdown() const;
  /// The curve as a picture; "" when there is none.
  std::string svg() const;
  /// By length in us, medians.
  std::map<double, double> curve() const;

 private:
  struct Line {
    Sample first;
    std::vector<double> measured;
    std::vector<double> references;
    std::vector<double> ratios;
  };
  struct Cells {
    std::string row, what, measured, beside, reference, ratio, target, met;
  };
  static Cells cells_of(const Line& line);
  std::vector<Line> sorted() const;

  std::vector<Line> lines_;
  std::map<double, std::vector<double>> curve_;
};

/// "1.2 M", "950 k", "12.3": up to three significant digits.
std::string short_number(double value);

/// The smallest task at which `part` is reached, between the points of the curve; 0 when it never is.
double length_at(const std::map<double, double>& curve, double part);

/// The curve over a logarithmic axis of lengths, with the length at which one half is reached.
std::string efficiency_svg(const std::map<double, double>& curve);

}  // namespace weft::bench

// SPDX-License-Identifier: MIT
// Report collects the measurements of all rounds and shows medians. A ratio is taken within each round, where
// both figures come from the same minutes, and then the median of the ratios.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace weft::bench {

enum class Want { at_least, at_most, nothing };

struct Sample {
  int row = 0;       // number in the speed table
  std::string what;  // names the line of the report, with `row` and `beside`
  double measured = 0;
  std::string unit;
  std::string beside;    // name of the reference; "": the target applies to the figure itself
  double reference = 0;  // value of the reference
  Want want = Want::nothing;
  double target = 0;  // for the ratio or, without a reference, for the figure
};

class Report {
 public:
  /// Adds a figure, and prints it on stderr.
  void add(Sample sample);
  /// The curve of one round: efficiency by the length of a task in us.
  void add_curve(const std::map<double, double>& curve);

  std::string text() const;
  std::string markdown() const;
  /// The curve as a picture; "" if there is none.
  std::string svg() const;
  /// The medians of the curve, by length in us.
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

/// The length of the smallest task with efficiency `part`, interpolated on the curve; 0 if no task reaches
/// it.
double length_at(const std::map<double, double>& curve, double part);

/// A plot of the curve over a logarithmic axis of lengths; it marks the length with efficiency one half.
std::string efficiency_svg(const std::map<double, double>& curve);

}  // namespace weft::bench

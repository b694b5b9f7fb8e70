// SPDX-License-Identifier: MIT
//
// A random forest for two classes, small enough to read: the model that adult_grid.cpp fits thousands of
// times.
//
//   forest::Binning binning(training_columns);                       // once per data set
//   forest::Table training = binning.apply(training_columns);
//   forest::RandomForest model(training, labels, {.trees = 10, .depth_max = 12, .seed = 1});
//   double probability = model.predict(binning.apply(other_columns)).front();
//
// The algorithm is that of scikit-learn's RandomForestClassifier: bootstrap samples, a new random choice of
// columns for every split, leaves that hold probabilities, and a forest that averages them. The difference is
// that numbers are first put into at most 256 bins, so that a split costs one pass over the rows and no
// sorting. The same seed gives the same forest on every machine. No global state: forests may be fitted in
// several threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace forest {

enum class Criterion { gini, entropy };

struct Settings {
  Criterion criterion = Criterion::gini;
  int trees = 100;
  int features_per_split = 10;  // columns that each split chooses from
  int depth_max = 10;
  std::uint64_t seed = 0;
};

using Columns = std::vector<std::vector<float>>;  // [column][row], as read
using Labels = std::vector<std::uint8_t>;         // 0 or 1 for each row

// The same columns with every number replaced by its bin. A one-hot column has two bins.
struct Table {
  std::vector<std::vector<std::uint8_t>> columns;  // [column][row]
  std::vector<int> bins;                           // number of bins of each column

  std::size_t rows() const { return columns.empty() ? 0 : columns.front().size(); }
};

// Binning learns the bins of the training columns. A column with at most 256 distinct values has a bin for
// each value; a column with more is cut into 256 bins with about equally many rows.
class Binning {
 public:
  static constexpr std::size_t kBinsMax = 256;

  explicit Binning(const Columns& training) {
    for (const auto& column : training) edges_.push_back(learn(column));
  }

  Table apply(const Columns& columns) const {
    if (columns.size() != edges_.size())
      throw std::invalid_argument("Binning: another number of columns than in training");
    Table table;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Edges& edges = edges_[c];
      auto& bins = table.columns.emplace_back();
      bins.reserve(columns[c].size());
      for (const float value : columns[c])
        bins.push_back(static_cast<std::uint8_t>(std::ranges::upper_bound(edges, value) - edges.begin()));
      table.bins.push_back(static_cast<int>(edges.size()) + 1);
    }
    return table;
  }

 private:
  using Edges = std::vector<double>;  // ascending; the bin of a value is the number of edges at or below it

  static Edges learn(const std::vector<float>& column) {
    if (column.empty()) return {};
    std::vector<float> values;  // one for each bin, ascending
    const auto range = std::ranges::minmax(column);
    if (std::ranges::all_of(column, [range](float v) { return v == range.min || v == range.max; })) {
      values = {range.min, range.max};  // most columns are one-hot and need no sorting
    } else {
      std::vector<float> sorted = column;
      std::ranges::sort(sorted);
      std::ranges::unique_copy(sorted, std::back_inserter(values));
      if (values.size() > kBinsMax)
        for (std::size_t i = 0; i < kBinsMax; ++i) values[i] = sorted[i * sorted.size() / kBinsMax];
    }
    values.resize(std::min(values.size(), kBinsMax));
    values.erase(std::unique(values.begin(), values.end()), values.end());
    Edges edges;
    for (std::size_t i = 1; i < values.size(); ++i)
      edges.push_back((static_cast<double>(values[i - 1]) + static_cast<double>(values[i])) / 2);
    return edges;
  }

  std::vector<Edges> edges_;  // for each column
};

// Rows counted by class, two numbers in one so that one addition counts both: all rows in the high
// half, rows of class 1 in the low half.
using Count = std::uint64_t;
constexpr Count count_of(std::uint64_t all, std::uint64_t positive) { return (all << 32) | positive; }
constexpr std::uint32_t all_of(Count count) { return static_cast<std::uint32_t>(count >> 32); }
constexpr std::uint32_t positive_of(Count count) { return static_cast<std::uint32_t>(count); }

class RandomForest {
 public:
  /// Fits the forest; the arguments need not outlive the call. Throws std::invalid_argument. REQUIRES:
  /// `training` came from Binning::apply.
  RandomForest(const Table& training, const Labels& labels, const Settings& settings) {
    if (settings.trees < 1 || settings.features_per_split < 1 || settings.depth_max < 1)
      throw std::invalid_argument("RandomForest: trees, features_per_split and depth_max start at 1");
    if (training.rows() == 0 || training.rows() != labels.size())
      throw std::invalid_argument("RandomForest: one label for each row, and at least one row");
    Grower grower(training, labels, settings);
    for (int i = 0; i < settings.trees; ++i) trees_.push_back(grower.grow());
  }

  /// The probability of class 1 for each row: the mean over the trees.
  std::vector<double> predict(const Table& table) const {
    std::vector<double> sum(table.rows());
    for (const Tree& tree : trees_) {
      for (std::size_t row = 0; row < sum.size(); ++row) {
        std::size_t at = 0;
        while (tree[at].right != 0)
          at = table.columns[tree[at].column][row] <= tree[at].bin ? at + 1 : tree[at].right;
        sum[row] += tree[at].probability;
      }
    }
    for (double& value : sum) value /= static_cast<double>(trees_.size());
    return sum;
  }

  /// The fraction of rows whose more probable class is their label.
  double accuracy(const Table& table, const Labels& labels) const {
    const std::vector<double> probability = predict(table);
    std::size_t hits = 0;
    for (std::size_t row = 0; row < labels.size(); ++row)
      hits += (probability.at(row) > 0.5) == (labels[row] == 1);
    return static_cast<double>(hits) / static_cast<double>(labels.size());
  }

 private:
  struct Node {
    // index of the child for rows above `bin`; the child for the other rows follows this node; 0: a leaf
    std::size_t right = 0;
    std::size_t column = 0;
    std::size_t bin = 0;
    double probability = 0;  // of class 1: its fraction of the training rows that reached this node
  };
  using Tree = std::vector<Node>;  // depth first, the root at 0

  struct Sample {
    std::uint32_t row;
    Count count;  // how often the bootstrap drew the row, by its class
  };

  struct Split {
    double score = 0;
    std::size_t column = 0;
    std::size_t bin = 0;
    bool found = false;
  };

  class Grower {
   public:
    Grower(const Table& table, const Labels& labels, const Settings& settings)
        : table_(table), labels_(labels), settings_(settings), random_(settings.seed) {
      order_.resize(table.columns.size());
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      if (settings.criterion == Criterion::entropy) x_log_x_.resize(labels.size() + 1);
      for (std::size_t x = 1; x < x_log_x_.size(); ++x)
        x_log_x_[x] = static_cast<double>(x) * std::log2(static_cast<double>(x));
    }

    Tree grow() {
      std::vector<std::uint32_t> drawn(labels_.size());
      for (std::size_t i = 0; i < drawn.size(); ++i) ++drawn[below(drawn.size())];
      std::vector<Sample> samples;
      for (std::uint32_t row = 0; row < drawn.size(); ++row)
        if (drawn[row] > 0) samples.push_back({row, count_of(drawn[row], drawn[row] * labels_[row])});
      Tree tree;
      add_node(tree, samples, 0);
      return tree;
    }

   private:
    void add_node(Tree& tree, std::span<Sample> samples, int depth) {
      Count total = 0;
      for (const Sample& sample : samples) total += sample.count;
      const std::uint32_t all = all_of(total), positive = positive_of(total);
      const std::size_t at = tree.size();
      tree.push_back({.probability = static_cast<double>(positive) / all});
      if (depth >= settings_.depth_max || positive == 0 || positive == all) return;
      const Split split = best_split(samples, total);
      if (!split.found) return;  // rows of both classes that are alike in every column

      // Stable, so that rows stay in order and memory is read forwards at every depth.
      const auto& bins = table_.columns[split.column];
      const auto above = std::stable_partition(samples.begin(), samples.end(), [&](const Sample& sample) {
        return bins[sample.row] <= split.bin;
      });
      const auto left = static_cast<std::size_t>(above - samples.begin());
      tree[at].column = split.column;
      tree[at].bin = split.bin;
      add_node(tree, samples.first(left), depth + 1);
      tree[at].right = tree.size();
      add_node(tree, samples.subspan(left), depth + 1);
    }

    // Draws columns without repetition. As in scikit-learn, draws more than features_per_split when all
    // columns drawn so far are constant in these rows.
    Split best_split(std::span<const Sample> samples, Count total) {
      Split best;
      const auto wanted = static_cast<std::size_t>(settings_.features_per_split);
      for (std::size_t i = 0; i < order_.size() && (i < wanted || !best.found); ++i) {
        std::swap(order_[i], order_[i + below(order_.size() - i)]);
        try_column(order_[i], samples, total, best);
      }
      return best;
    }

    void try_column(std::size_t column, std::span<const Sample> samples, Count total, Split& best) {
      const std::uint8_t* const bins = table_.columns[column].data();
      const auto bin_count = static_cast<std::size_t>(table_.bins[column]);
      const auto consider = [&](Count left, std::size_t bin) {
        const double score = purity(left) + purity(total - left);
        if (!best.found || score > best.score) best = {score, column, bin, true};
      };
      if (bin_count == 2) {  // one-hot: no histogram, only the sum of the ones, without a branch
        Count ones = 0;
        for (const Sample& sample : samples) ones += sample.count & -Count{bins[sample.row]};
        if (ones != 0 && ones != total) consider(total - ones, 0);
        return;
      }
      std::fill_n(histogram_, bin_count, Count{0});
      for (const Sample& sample : samples) histogram_[bins[sample.row]] += sample.count;
      Count left = 0;
      std::size_t last = 0;  // the last bin that was not empty: the cut goes halfway to the next
      for (std::size_t bin = 0; bin < bin_count; ++bin) {
        if (histogram_[bin] == 0) continue;
        if (left != 0) consider(left, (last + bin - 1) / 2);
        left += histogram_[bin];
        last = bin;
      }
    }

    // A random number below n. Not std::uniform_int_distribution, whose results the standard does not
    // specify: forests would differ between standard libraries.
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(((random_() >> 32) * n) >> 32); }

    // Higher is purer. The sum over both sides of a split is highest where the mean impurity is lowest.
    double purity(Count count) const {
      const std::uint32_t all = all_of(count), positive = positive_of(count), negative = all - positive;
      if (settings_.criterion == Criterion::entropy)
        return x_log_x_[positive] + x_log_x_[negative] - x_log_x_[all];
      return (static_cast<double>(positive) * positive + static_cast<double>(negative) * negative) / all;
    }

    const Table& table_;
    const Labels& labels_;
    const Settings& settings_;
    std::mt19937_64 random_;
    std::vector<std::size_t> order_;  // the columns, shuffled as far as the last split needed
    std::vector<double> x_log_x_;     // x * log2(x), for entropy
    Count histogram_[Binning::kBinsMax] = {};
  };

  std::vector<Tree> trees_;
};

}  // namespace forest

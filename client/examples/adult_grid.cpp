// SPDX-License-Identifier: MIT
// A grid search on real data: 3200 random forests, one task each, on the UCI adult data set
// (random_forest.hpp, adult.hpp). The data is not sent: each runner reads it once, from the directory on the
// worker's disk that is an argument of every task.
//
//   scripts/get_adult.sh ~/adult          # on each worker's machine
//   adult_grid --data ~/adult             # the whole grid; rows go to adult_grid.csv
//   adult_grid --points 64                # an evenly spread sample of the grid
#include "adult.hpp"

#include <weft/weft.hpp>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

// With MSGPACK_DEFINE a struct can be an argument or a result.
struct Point {
  std::string criterion;  // gini or entropy
  int trees = 0;
  int features = 0;  // number of columns from which each split chooses
  int depth = 0;
  std::uint64_t seed = 0;
  MSGPACK_DEFINE(criterion, trees, features, depth, seed)
};

struct Row {
  Point point;
  double accuracy = 0;  // on adult.test
  double seconds = 0;   // time to fit the forest
  MSGPACK_DEFINE(point, accuracy, seconds)
};

// A runner runs many tasks, one at a time, so a static variable is a cache without a lock.
const adult::Data& data_in(const std::string& directory) {
  static std::map<std::string, adult::Data> cache;
  const auto known = cache.find(directory);
  return known != cache.end() ? known->second
                              : cache.emplace(directory, adult::Data::load(directory)).first->second;
}

Row fit(const Point& point, const std::string& directory) {
  const adult::Data& data = data_in(directory);
  const auto start = std::chrono::steady_clock::now();
  const forest::RandomForest model(
      data.training, data.training_labels,
      {.criterion = point.criterion == "gini" ? forest::Criterion::gini : forest::Criterion::entropy,
       .trees = point.trees,
       .features_per_split = point.features,
       .depth_max = point.depth,
       .seed = point.seed});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {point, model.accuracy(data.test, data.test_labels), seconds.count()};
}

std::vector<Point> grid(std::size_t wanted, std::uint64_t seed) {
  std::vector<Point> all;
  for (const char* criterion : {"gini", "entropy"})
    for (int trees = 5; trees <= 14; ++trees)
      for (int features = 10; features <= 19; ++features)
        for (int depth = 4; depth <= 19; ++depth) all.push_back({criterion, trees, features, depth, seed});
  std::vector<Point> sample;
  for (std::size_t i = 0; i < wanted; ++i) sample.push_back(all[i * all.size() / wanted]);
  return sample;
}

void print_best(std::vector<Row> rows) {
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::accuracy);
  fmt::print("{:>9} {:>6} {:>9} {:>6} {:>9} {:>8}\n", "criterion", "trees", "features", "depth", "accuracy",
             "fit, s");
  for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), 10); ++i) {
    const auto& [point, accuracy, seconds] = rows[i];
    fmt::print("{:>9} {:>6} {:>9} {:>6} {:>9.4f} {:>8.3f}\n", point.criterion, point.trees, point.features,
               point.depth, accuracy, seconds);
  }
}

void run(const std::string& broker, const std::string& directory, const std::string& csv_file,
         std::size_t points, std::uint64_t seed) {
  weft::Client client(broker);
  std::ofstream csv(csv_file);  // opened before the work: an unwritable directory should not cost an hour
  if (!csv) throw std::runtime_error("cannot write " + csv_file);

  const auto start = std::chrono::steady_clock::now();
  // A task's working directory is a scratch directory of its worker, so the path must be absolute.
  auto futures =
      client.map<fit>(grid(points, seed), weft::same(std::filesystem::absolute(directory).string()));
  weft::progress(futures);

  std::vector<Row> rows;
  std::size_t failed = 0;
  csv << "criterion,trees,features,depth,seed,accuracy,fit_seconds\n";
  for (const auto& outcome : client.gather(futures, weft::outcomes)) {
    if (!outcome.ok()) {
      if (failed++ == 0) fmt::print(stderr, "adult_grid: {}\n", outcome.error().what());
      continue;
    }
    const auto& [point, accuracy, seconds] = rows.emplace_back(outcome.value());
    csv << fmt::format("{},{},{},{},{},{:.6f},{:.6f}\n", point.criterion, point.trees, point.features,
                       point.depth, point.seed, accuracy, seconds);
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  if (!csv.flush()) throw std::runtime_error("cannot write all rows to " + csv_file);
  if (!rows.empty()) print_best(rows);
  fmt::print("{} fits in {:.1f} s; all rows are in {}\n", rows.size(), wall.count(), csv_file);
  if (failed > 0)
    throw std::runtime_error(fmt::format("{} of {} fits failed; the first is above", failed, points));
}

int main(int argc, char** argv) {
  const char* const home = std::getenv("HOME");
  std::string broker;
  std::string directory = home != nullptr ? std::string(home) + "/adult" : "adult";
  std::string csv_file = "adult_grid.csv";
  std::size_t points = 3200;
  std::uint64_t seed = 1;
  CLI::App app{"Searches a grid of random forests on the UCI adult data.", "adult_grid"};
  app.failure_message(CLI::FailureMessage::help);
  app.add_option("--broker", broker, "address of the broker; default $WEFT_BROKER or 127.0.0.1:8786");
  app.add_option("--data", directory, "directory of adult.data and adult.test on each worker")
      ->capture_default_str();
  app.add_option("--csv", csv_file, "file for all rows")->capture_default_str();
  app.add_option("--points", points, "how many points of the grid to take, evenly spread")
      ->check(CLI::Range(1, 3200))
      ->capture_default_str();
  app.add_option("--seed", seed, "seed of every forest")->capture_default_str();
  try {
    app.parse(argc, argv);
    run(broker, directory, csv_file, points, seed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "adult_grid: {}\n", error.what());
    return 2;  // the address is invalid
  } catch (const std::exception& error) {
    fmt::print(stderr, "adult_grid: {}\n", error.what());
    return 1;
  }
}

// SPDX-License-Identifier: MIT
//
// The reader of the example for the UCI adult data, trap by trap, and its random forest. The last case needs
// the real files: WEFT_ADULT_DIR names their directory (scripts/get_adult.sh fetches them).
#include "client/examples/adult.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace {

const std::string kAnn =
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Female, "
    "2174, 0, 40, United-States, <=50K";
const std::string kBob =
    "54, ?, 180211, Some-college, 10, Married-civ-spouse, ?, Husband, Asian-Pac-Islander, Male, "
    "0, 0, 60, South, >50K";

std::vector<adult::Person> parse(const std::string& text) {
  std::istringstream in(text);
  return adult::parse(in, "folder/adult.data");
}

std::string error_of(const std::string& text) {
  try {
    parse(text);
  } catch (const adult::DataError& error) {
    return error.what();
  }
  return "";
}

// `text` with the first `from` replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

// Class 1 where the first number is above 300 and the flag is set; a second number is noise.
struct Toy {
  forest::Columns columns{3};
  forest::Labels labels;

  explicit Toy(std::size_t rows) {
    for (std::size_t i = 0; i < rows; ++i) {
      const auto number = static_cast<float>(i * 37 % 1000);
      const bool flag = i % 2 == 0;
      columns[0].push_back(number);
      columns[1].push_back(flag ? 1 : 0);
      columns[2].push_back(static_cast<float>(i * 7919 % 613));
      labels.push_back(number > 300 && flag ? 1 : 0);
    }
  }
};

}  // namespace

TEST_SUITE("adult") {
  TEST_CASE("a line becomes six numbers, eight words and a label") {
    const auto people = parse(kAnn + "\n" + kBob + "\n");
    REQUIRE(people.size() == 2);
    CHECK(people[0].numbers[0] == 39);
    CHECK(people[0].numbers[2] == 77516);
    CHECK(people[0].numbers[10] == 2174);
    CHECK(people[0].words[1] == "State-gov");
    CHECK(people[0].words[13] == "United-States");
    CHECK_FALSE(people[0].rich);
    CHECK(people[1].rich);
  }

  TEST_CASE("the cross validator line at the top of adult.test is skipped") {
    CHECK(parse("|1x3 Cross validator\n" + kAnn + ".\n").size() == 1);
  }

  TEST_CASE("a label may end in a point, as all do in adult.test") {
    const auto people = parse(kAnn + ".\n" + kBob + ".\n");
    CHECK_FALSE(people[0].rich);
    CHECK(people[1].rich);
  }

  TEST_CASE("a question mark is a word like any other") {
    const auto people = parse(kBob + "\n");
    CHECK(people[0].words[1] == "?");
    CHECK(people[0].words[6] == "?");
  }

  TEST_CASE("blank lines, Windows line ends and a missing last line end change nothing") {
    CHECK(parse(kAnn + "\n" + kBob + "\n\n").size() == 2);
    CHECK(parse(kAnn + "\r\n" + kBob + "\r\n \r\n").size() == 2);
    CHECK(parse("\n" + kAnn + "\n" + kBob).size() == 2);
  }

  TEST_CASE("a malformed line is refused with file, line number, what is wrong and what to do") {
    const std::string after = "|1x3 Cross validator\n" + kAnn + "\n";
    SUBCASE("a field is missing") {
      CHECK(error_of(after + with(kBob, "Male, ", "")) ==
            "folder/adult.data: line 3: 14 fields where 15 belong; "
            "fetch the data with: scripts/get_adult.sh folder");
    }
    SUBCASE("a line that was cut off") {
      CHECK(error_of(after + kBob.substr(0, 40)).find("line 3: 6 fields where 15 belong") !=
            std::string::npos);
    }
    SUBCASE("a number that is none") {
      for (const std::string bad : {"x", "54x", "?", "nan", "inf", "5 4"})
        CHECK(error_of(after + with(kBob, "54", bad)).find("line 3: age is '" + bad + "', not a number") !=
              std::string::npos);
    }
    SUBCASE("an empty field") {
      CHECK(error_of(after + with(kBob, "Husband", "")).find("line 3: relationship is empty") !=
            std::string::npos);
    }
    SUBCASE("a label that is none") {
      CHECK(error_of(after + with(kBob, ">50K", ">50")).find("line 3: the label is '>50'") !=
            std::string::npos);
    }
  }

  TEST_CASE("a file without a person, a missing file and a folder in its place are refused") {
    CHECK(error_of("|1x3 Cross validator\n\n").find("there is no person in it") != std::string::npos);
    CHECK_THROWS_WITH_AS(adult::read_file("/nowhere/adult.data"),
                         "/nowhere/adult.data: cannot open it: No such file or directory; "
                         "fetch the data with: scripts/get_adult.sh /nowhere",
                         adult::DataError);
    CHECK_THROWS_AS(adult::read_file("/"), adult::DataError);
  }

  TEST_CASE("every word of the training data has a column and a strange word is a row of zeros") {
    const auto training = parse(kAnn + "\n" + kBob + "\n");
    const adult::OneHot encoding(training);
    const auto columns = encoding.encode(training);
    REQUIRE(columns.size() == 6 + 8 * 2);
    CHECK(columns[0] == std::vector<float>{39, 54});
    CHECK(columns[1] == std::vector<float>{0, 1});  // workclass "?", which sorts first
    CHECK(columns[2] == std::vector<float>{1, 0});  // workclass "State-gov"

    const auto strange = encoding.encode(parse(with(kAnn, "State-gov", "Astronaut")));
    REQUIRE(strange.size() == columns.size());
    CHECK(strange[1] == std::vector<float>{0});
    CHECK(strange[2] == std::vector<float>{0});
  }

  TEST_CASE("few values keep a bin each, and values between them go to the nearer one") {
    const forest::Columns training{{0, 1, 1, 0}, {5, 5, 5, 5}, {10, 30, 20, 10}};
    const forest::Binning binning(training);
    const forest::Table table = binning.apply(training);
    CHECK(table.bins == std::vector<int>{2, 1, 3});
    CHECK(table.columns[0] == std::vector<std::uint8_t>{0, 1, 1, 0});
    CHECK(table.columns[2] == std::vector<std::uint8_t>{0, 2, 1, 0});
    CHECK(binning.apply({{0}, {7}, {14}}).columns[2].front() == 0);
    CHECK(binning.apply({{0}, {7}, {99}}).columns[2].front() == 2);
    CHECK_THROWS_AS(binning.apply({{0}}), std::invalid_argument);
  }

  TEST_CASE("many values share at most 256 bins, in order and of about equal size") {
    forest::Columns training(1);
    for (int i = 0; i < 10'000; ++i) training[0].push_back(static_cast<float>(i) * static_cast<float>(i));
    const forest::Table table = forest::Binning(training).apply(training);
    CHECK(table.bins[0] == 256);
    CHECK(std::ranges::is_sorted(table.columns[0]));
    std::vector<int> sizes(256);
    for (const std::uint8_t bin : table.columns[0]) ++sizes[bin];
    CHECK(*std::ranges::max_element(sizes) <= 2 * 10'000 / 256);
  }

  TEST_CASE("a forest learns a rule of a number and a flag") {
    const Toy toy(2000);
    const forest::Binning binning(toy.columns);
    const forest::Table table = binning.apply(toy.columns);
    for (const auto criterion : {forest::Criterion::gini, forest::Criterion::entropy}) {
      const forest::RandomForest model(
          table, toy.labels,
          {.criterion = criterion, .trees = 9, .features_per_split = 2, .depth_max = 4, .seed = 1});
      CHECK(model.accuracy(table, toy.labels) > 0.99);
      const auto probability = model.predict(binning.apply({{900, 900, 10}, {1, 0, 1}, {5, 5, 5}}));
      CHECK(probability[0] > 0.9);
      CHECK(probability[1] < 0.1);
      CHECK(probability[2] < 0.1);
    }
  }

  TEST_CASE("a forest follows from its seed alone") {
    const Toy toy(500);
    const forest::Table table = forest::Binning(toy.columns).apply(toy.columns);
    const auto predict = [&](std::uint64_t seed) {
      return forest::RandomForest(table, toy.labels,
                                  {.trees = 5, .features_per_split = 1, .depth_max = 3, .seed = seed})
          .predict(table);
    };
    CHECK(predict(7) == predict(7));
    CHECK(predict(7) != predict(8));
  }

  TEST_CASE("a forest over rows that nothing tells apart gives their share") {
    const forest::Columns columns{std::vector<float>(100, 3.0F)};
    forest::Labels labels(100, 0);
    std::fill_n(labels.begin(), 25, std::uint8_t{1});
    const forest::Table table = forest::Binning(columns).apply(columns);
    const forest::RandomForest model(table, labels, {.trees = 50, .features_per_split = 5, .depth_max = 9});
    CHECK(std::abs(model.predict(table).front() - 0.25) < 0.05);
  }

  TEST_CASE("a forest of nothing is refused") {
    const Toy toy(10);
    const forest::Table table = forest::Binning(toy.columns).apply(toy.columns);
    CHECK_THROWS_AS(forest::RandomForest(table, toy.labels, {.trees = 0}), std::invalid_argument);
    CHECK_THROWS_AS(forest::RandomForest(table, {}, {.trees = 1}), std::invalid_argument);
    CHECK_THROWS_AS(forest::RandomForest({}, {}, {.trees = 1}), std::invalid_argument);
  }

  TEST_CASE("on the real data the forest is as accurate as scikit-learn's") {
    const char* const folder = std::getenv("WEFT_ADULT_DIR");
    if (folder == nullptr || *folder == '\0') {
      MESSAGE("skipped: WEFT_ADULT_DIR is not set; scripts/get_adult.sh DIR fetches the data");
      return;
    }
    const adult::Data data = adult::Data::load(folder);
    REQUIRE(data.training.rows() == 32'561);
    REQUIRE(data.test.rows() == 16'281);
    REQUIRE(data.training.columns.size() == 108);

    // What scikit-learn 1.2 reaches on adult.test, as a mean over five seeds.
    struct Known {
      forest::Settings settings;
      double accuracy;
    };
    const std::vector<Known> all_known{{{forest::Criterion::gini, 10, 14, 10, 0}, 0.8584},
                                       {{forest::Criterion::entropy, 14, 10, 14, 0}, 0.8594},
                                       {{forest::Criterion::gini, 14, 19, 19, 0}, 0.8613},
                                       {{forest::Criterion::entropy, 10, 15, 10, 0}, 0.8576}};
    for (Known known : all_known) {
      double sum = 0;
      for (int seed = 1; seed <= 5; ++seed) {
        known.settings.seed = static_cast<std::uint64_t>(seed);
        sum += forest::RandomForest(data.training, data.training_labels, known.settings)
                   .accuracy(data.test, data.test_labels);
      }
      CAPTURE(known.accuracy);
      CHECK(std::abs(sum / 5 - known.accuracy) < 0.006);
    }
  }
}

// SPDX-License-Identifier: MIT
// Reads the UCI adult data set (does a person earn more than 50 000 dollars a year?) and turns it into the
// 108 columns of adult_grid.cpp: 6 numbers, and one column of zeros and ones for each of the 102 words that
// the other 8 fields take in adult.data. "?", which stands for an unknown value, is one of these words.
// scripts/get_adult.sh downloads the two files.
#pragma once

#include "random_forest.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <istream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace adult {

struct Field {
  std::string_view name;
  bool is_number;
};

inline constexpr std::array<Field, 14> kFields{{{"age", true},
                                                {"workclass", false},
                                                {"fnlwgt", true},
                                                {"education", false},
                                                {"education-num", true},
                                                {"marital-status", false},
                                                {"occupation", false},
                                                {"relationship", false},
                                                {"race", false},
                                                {"sex", false},
                                                {"capital-gain", true},
                                                {"capital-loss", true},
                                                {"hours-per-week", true},
                                                {"native-country", false}}};

struct Person {
  std::array<float, kFields.size()> numbers{};    // set where kFields says is_number
  std::array<std::string, kFields.size()> words;  // set in the other fields
  bool rich = false;                              // more than 50K
};

/// A data file cannot be used. The text names the file, the line, the problem and the remedy.
class DataError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

inline std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

inline Person parse_line(std::string_view line) {
  Person person;
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= line.size();) {
    const auto end = std::min(line.find(',', begin), line.size());
    parts.push_back(trim(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  if (parts.size() != kFields.size() + 1)
    throw DataError(std::to_string(parts.size()) + " fields where 15 belong");
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    const std::string_view part = parts[i];
    if (part.empty()) throw DataError(std::string(kFields[i].name) + " is empty");
    if (!kFields[i].is_number) {
      person.words[i] = part;
      continue;
    }
    float& number = person.numbers[i];
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc{} || end != part.data() + part.size() || !std::isfinite(number))
      throw DataError(std::string(kFields[i].name) + " is '" + std::string(part) + "', not a number");
  }
  std::string_view label = parts.back();
  if (label.ends_with('.')) label.remove_suffix(1);  // adult.test has "<=50K."
  if (label != ">50K" && label != "<=50K")
    throw DataError("the label is '" + std::string(parts.back()) + "', not >50K or <=50K");
  person.rich = label == ">50K";
  return person;
}

inline DataError data_error(const std::string& name, const std::string& what) {
  const auto slash = name.rfind('/');
  const std::string directory = slash == name.npos ? "." : name.substr(0, slash);
  return DataError(name + ": " + what + "; fetch the data with: scripts/get_adult.sh " + directory);
}

}  // namespace detail

/// Reads all of `in`; `name` is the file's name in messages. Skips blank lines (both files end with a blank
/// line) and lines that begin with a bar (adult.test starts with "|1x3 Cross validator"). Throws DataError.
inline std::vector<Person> parse(std::istream& in, const std::string& name) {
  std::vector<Person> people;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    const std::string_view text = detail::trim(line);
    if (text.empty() || text.front() == '|') continue;
    try {
      people.push_back(detail::parse_line(text));
    } catch (const DataError& error) {
      throw detail::data_error(name, "line " + std::to_string(number) + ": " + error.what());
    }
  }
  if (in.bad()) throw detail::data_error(name, "reading failed");
  if (people.empty()) throw detail::data_error(name, "there is no person in it");
  return people;
}

inline std::vector<Person> read_file(const std::string& path) {
  errno = 0;
  std::ifstream in(path);
  if (!in) throw detail::data_error(path, "cannot open it: " + std::generic_category().message(errno));
  return parse(in, path);
}

inline forest::Labels labels(const std::vector<Person>& people) {
  forest::Labels result;
  for (const Person& person : people) result.push_back(person.rich ? 1 : 0);
  return result;
}

/// One-hot encoding, learned from the training data. A word that the training data lacks becomes zeros in all
/// columns of its field.
class OneHot {
 public:
  explicit OneHot(const std::vector<Person>& training) {
    for (std::size_t field = 0; field < kFields.size(); ++field) {
      if (kFields[field].is_number) continue;
      for (const Person& person : training) words_[field].insert(person.words[field]);
    }
  }

  forest::Columns encode(const std::vector<Person>& people) const {
    forest::Columns columns;
    for (std::size_t field = 0; field < kFields.size(); ++field) {
      const std::size_t first = columns.size();
      const auto& words = words_[field];
      const std::size_t width = kFields[field].is_number ? 1 : words.size();
      columns.resize(first + width, std::vector<float>(people.size()));
      for (std::size_t row = 0; row < people.size(); ++row) {
        if (kFields[field].is_number) {
          columns[first][row] = people[row].numbers[field];
        } else if (const auto word = words.find(people[row].words[field]); word != words.end()) {
          columns[first + static_cast<std::size_t>(std::distance(words.begin(), word))][row] = 1;
        }
      }
    }
    return columns;
  }

 private:
  std::array<std::set<std::string>, kFields.size()> words_;  // in the order of their columns
};

/// Both files of a directory, ready for a forest.
struct Data {
  forest::Table training, test;
  forest::Labels training_labels, test_labels;

  static Data load(const std::string& directory) {
    const auto training = read_file(directory + "/adult.data");
    const auto test = read_file(directory + "/adult.test");
    const OneHot encoding(training);
    const auto columns = encoding.encode(training);
    const forest::Binning binning(columns);
    return {binning.apply(columns), binning.apply(encoding.encode(test)), labels(training), labels(test)};
  }
};

}  // namespace adult

// SPDX-License-Identifier: MIT
// Counts words in files: one task for each file, taken in the order in which they finish, so that the counts
// of a small file are printed while a large one is still being read. The text is sent as an argument, so the
// workers need not see the files. A file that cannot be counted is reported; the others still count.
//
//   wordcount --top 20 *.txt
#include <weft/weft.hpp>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using Counts = std::map<std::string, long>;

// A word is a sequence of letters and digits, in lower case. Bytes beyond ASCII belong to words, which keeps
// UTF-8 intact for every alphabet.
Counts count_words(const std::string& text) {
  if (text.find('\0') != text.npos) throw std::invalid_argument("this is not text: it contains a zero byte");
  Counts counts;
  std::string word;
  for (const char c : text + " ") {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 128) {
      word += upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!word.empty()) {
      ++counts[word];
      word.clear();
    }
  }
  return counts;
}

std::string read(const std::string& file) {
  if (std::filesystem::is_directory(file)) throw std::runtime_error("it is a directory");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open it");
  return {std::istreambuf_iterator<char>(in), {}};
}

// Returns the number of files that failed.
int run(const std::string& broker, const std::vector<std::string>& files, std::size_t top) {
  weft::Client client(broker);
  int failed = 0;
  const auto report = [&failed](const std::string& file, const std::string& why) {
    fmt::print(stderr, "wordcount: {}: {}\n", file, why);
    ++failed;
  };

  std::vector<weft::Future<Counts>> futures;
  std::map<weft::TaskId, std::string> names;
  for (const std::string& file : files) {
    try {
      futures.push_back(client.with({.label = file}).submit<count_words>(read(file)));
      names[futures.back().id()] = file;
    } catch (const std::runtime_error& error) {
      report(file, error.what());
    }
  }

  Counts total;
  for (auto& future : weft::as_completed(futures)) {
    const std::string& file = names[future.id()];
    if (const auto error = future.error()) {
      report(file, error->text());
      continue;
    }
    long words = 0;
    for (const auto& [word, count] : future.result()) {
      total[word] += count;
      words += count;
    }
    fmt::print("{:>10} words in {}\n", words, file);
  }

  std::vector<std::pair<std::string, long>> ranked(total.begin(), total.end());
  std::ranges::stable_sort(ranked, std::ranges::greater{}, &std::pair<std::string, long>::second);
  fmt::print("the most frequent of {} words:\n", ranked.size());
  for (std::size_t i = 0; i < std::min(top, ranked.size()); ++i)
    fmt::print("{:>10} {}\n", ranked[i].second, ranked[i].first);
  return failed;
}

int main(int argc, char** argv) {
  std::string broker;
  std::vector<std::string> files;
  std::size_t top = 10;
  CLI::App app{"Counts the words of text files on a Weft cluster.", "wordcount"};
  app.failure_message(CLI::FailureMessage::help);
  app.add_option("--broker", broker, "address of the broker; default $WEFT_BROKER or 127.0.0.1:8786");
  app.add_option("--top", top, "how many words to print")->capture_default_str();
  app.add_option("files", files, "the files")->required();
  try {
    app.parse(argc, argv);
    return run(broker, files, top) == 0 ? 0 : 1;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "wordcount: {}\n", error.what());
    return 2;  // the address is invalid
  } catch (const std::exception& error) {
    fmt::print(stderr, "wordcount: {}\n", error.what());
    return 1;
  }
}

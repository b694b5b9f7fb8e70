// SPDX-License-Identifier: MIT
// The bytes of every message as files (tests/golden), so that the protocol cannot change by accident: a test
// that fails here means a new version, or a mistake. WEFT_UPDATE_GOLDEN=1 writes the files.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "common/wire/codec.hpp"
#include "common/wire/schema.hpp"
#include "tests/unit/wire_samples.hpp"

namespace weft::wire {

namespace {

namespace fs = std::filesystem;

const fs::path kGolden = WEFT_SOURCE_DIR "/tests/golden";
constexpr std::size_t kBytesPerLine = 40;

/// The bytes in hexadecimal, the header in a line of its own.
std::string hex_of(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out += fmt::format("{:02x}", static_cast<unsigned char>(bytes[i]));
    const bool line_ends = i == 7 || (i > 7 && (i - 7) % kBytesPerLine == 0) || i + 1 == bytes.size();
    if (line_ends) out += '\n';
  }
  return out;
}

std::string bytes_of(std::string_view hex) {
  std::string digits;
  for (const char c : hex) {
    if (c != '\n') digits += c;
  }
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The content of the file; with WEFT_UPDATE_GOLDEN, writes `content` first.
std::string golden(const std::string& name, const std::string& content) {
  if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr)
    std::ofstream(kGolden / name, std::ios::binary) << content;
  return read(kGolden / name);
}

}  // namespace

TEST_SUITE("golden frames") {
  TEST_CASE("every message has the bytes, and the content, that its files say") {
    const std::vector<Message> messages = one_of_each();
    REQUIRE(messages.size() == std::variant_size_v<AnyMessage>);
    std::set<std::string> names;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const Message& message = messages[i];
      CHECK(message.index() == i);
      const std::string type = describe(message);
      const std::string name =
          fmt::format("{:02}_{}", i + 1, message_name(type.substr(0, type.find_first_of("(["))));
      CAPTURE(name);
      const std::string hex = golden(name + ".hex", hex_of(encode(message)));
      const std::string json = golden(name + ".json", to_json(message).dump(2) + "\n");
      CHECK(hex == hex_of(encode(message)));
      const auto decoded = decode(bytes_of(hex));
      REQUIRE(decoded);
      CHECK((*decoded == message));
      CHECK(json == to_json(*decoded).dump(2) + "\n");
      names.insert({name + ".hex", name + ".json"});
    }
    for (const auto& entry : fs::directory_iterator(kGolden)) {
      CAPTURE(entry.path().string());
      CHECK(names.contains(entry.path().filename().string()));
    }
  }
}

}  // namespace weft::wire

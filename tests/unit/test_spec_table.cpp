// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "client/connection/spec_table.hpp"

using namespace weft;
using namespace weft::client;

namespace {

BlobId hash(std::uint8_t number) {
  BlobId id;
  id.bytes.fill(number);
  return id;
}

struct Stage {
  std::vector<Event> events;
  std::size_t described = 0;
  SpecTable specs{[](const std::string&, const std::string&) {
                    return detail::IntrusivePtr<detail::TaskInfo>(new detail::TaskInfo);
                  },
                  [this](std::uint32_t, wire::TaskSpec&) { ++described; }};

  std::uint32_t number_of(const detail::CallTarget& target, const TaskOptions* options = nullptr) {
    return specs.intern(target, options, events).number;
  }
};

std::string name_of_f() { return "f"; }

constexpr detail::CallTarget kProgram{.function_index = 3, .display_name = name_of_f};
constexpr detail::CallTarget kLibrary{
    .kind = detail::CallKind::library, .function = "f", .signature = "long(long)"};

}  // namespace

TEST_SUITE("spec table") {
  TEST_CASE("a function with the same options is the same spec, and is described once") {
    Stage s;
    const TaskOptions options{.label = "fit"};
    const std::uint32_t plain = s.number_of(kProgram);
    const std::uint32_t labelled = s.number_of(kProgram, &options);
    CHECK(plain != labelled);
    CHECK(s.number_of(kProgram) == plain);
    CHECK(s.number_of(kProgram, &options) == labelled);
    CHECK(s.described == 2);
    CHECK(s.events.size() == 2);
  }

  TEST_CASE("with other libraries a function is another spec, and with those of before the one of before") {
    Stage s;
    const TaskOptions options{.label = "fit"};
    s.specs.set_libraries(hash(1));
    const std::uint32_t plain = s.number_of(kProgram);
    const std::uint32_t labelled = s.number_of(kProgram, &options);
    const std::uint32_t named = s.number_of(kLibrary);
    s.specs.set_libraries(hash(2));
    CHECK(s.number_of(kProgram) != plain);
    CHECK(s.number_of(kProgram, &options) != labelled);
    CHECK(s.number_of(kLibrary) == named);  // it is not a function of this program
    s.specs.set_libraries(hash(1));
    CHECK(s.number_of(kProgram) == plain);
    CHECK(s.number_of(kProgram, &options) == labelled);
    CHECK(s.described == 4);
  }
}

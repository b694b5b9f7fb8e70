// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/unit/plain_msgpack.hpp"
#include "weft/serialise.hpp"

using weft::detail::decode;

namespace serialise_test {

template <class T>
std::string encode(const T& value) {
  return weft::detail::encode(value).take();
}

enum class Colour : std::uint8_t { red, green };
enum Plain { small_one, large_one = 100000 };

struct Point {
  double x = 0, y = 0, z = 0;
  MSGPACK_DEFINE(x, y, z)
  bool operator==(const Point&) const = default;
};
struct Padded {  // 4 bytes at the end
  double weight = 0;
  int count = 0;
  MSGPACK_DEFINE(weight, count)
  bool operator==(const Padded&) const = default;
};
struct Gap {  // 7 bytes in the middle
  char letter = 0;
  double weight = 0;
  MSGPACK_DEFINE(letter, weight)
  bool operator==(const Gap&) const = default;
};
struct Secretive {  // its pointer is not listed, so its bytes must not travel
  int shown = 0;
  const void* hidden = nullptr;
  MSGPACK_DEFINE(shown)
};
struct Caching {  // the member that is not listed is as small as padding
  int value = 0;
  int cached = 0;
  double weight = 0;
  MSGPACK_DEFINE(value, weight)
};
struct Flagged {  // listed completely, in another order
  int first = 0;
  int second = 0;
  MSGPACK_DEFINE(second, first)
  bool operator==(const Flagged&) const = default;
};
struct Nested {
  std::array<Point, 2> ends;
  Colour colours[8] = {};
  MSGPACK_DEFINE(ends, colours)
  bool operator==(const Nested&) const = default;
};
struct NestedPadded {
  std::array<Padded, 2> ends;
  long number = 0;
  MSGPACK_DEFINE(ends, number)
  bool operator==(const NestedPadded&) const = default;
};
struct Everything {
  Colour colour = Colour::red;
  std::variant<std::monostate, int, std::string> choice;
  std::optional<std::optional<int>> maybe;
  std::chrono::milliseconds delay{};
  std::vector<double> numbers;
  std::map<std::string, std::vector<std::byte>> files;
  std::vector<bool> flags;
  long double precise = 0;
  char32_t letter = U'a';
  int fixed[3] = {1, 2, 3};
  MSGPACK_DEFINE(colour, choice, maybe, delay, numbers, files, flags, precise, letter, fixed)
  bool operator==(const Everything&) const = default;
};
struct Named {
  std::string name;
  std::vector<Point> points;
  MSGPACK_DEFINE_MAP(name, points)
  bool operator==(const Named&) const = default;
};
struct Base {
  int id = 0;
  MSGPACK_DEFINE(id)
  bool operator==(const Base&) const = default;
};
struct Derived : Base {
  std::string text;
  MSGPACK_DEFINE(MSGPACK_BASE(Base), text)
  bool operator==(const Derived&) const = default;
};
struct Empty {
  MSGPACK_DEFINE()
  bool operator==(const Empty&) const = default;
};
struct Tree {
  int value = 0;
  std::vector<Tree> children;
  MSGPACK_DEFINE(value, children)
  bool operator==(const Tree&) const = default;
};
class ByHand {  // packs a computed value
 public:
  ByHand() = default;
  explicit ByHand(int value) : value_(value) {}
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(2);
    packer.pack(value_ / 10);
    packer.pack(value_ % 10);
  }
  void msgpack_unpack(const msgpack::object& object) {
    const auto parts = object.as<std::tuple<int, int>>();
    value_ = std::get<0>(parts) * 10 + std::get<1>(parts);
  }
  bool operator==(const ByHand&) const = default;

 private:
  int value_ = 0;
};
struct NoDefault {
  explicit NoDefault(int) {}
  MSGPACK_DEFINE()
};
struct Silent {
  int x;
};

template <class T>
void check_round_trip(const T& value) {
  const std::string bytes = encode(value);
  CHECK(decode<T>(bytes) == value);
  // Neither a prefix nor a longer text decodes to the value.
  CHECK_THROWS_AS(decode<T>(bytes + '\0'), weft::Error);
  for (std::size_t size = 0; size < bytes.size() && size < 50; ++size)
    CHECK_THROWS_AS(decode<T>(std::string_view(bytes).substr(0, size)), weft::Error);
}

/// A vector of two values is an array of their separate encodings.
template <class T>
void check_alone_and_in_vector(const T& value) {
  CHECK(encode(std::vector<T>{value, value}) == "\x92" + encode(value) + encode(value));
}

template <class T>
std::string refusal(std::string_view bytes) {
  try {
    decode<T>(bytes);
    return "";
  } catch (const weft::Error& error) {
    return error.what();
  }
}

}  // namespace serialise_test

using namespace serialise_test;

TEST_SUITE("serialise") {
  TEST_CASE("every arithmetic type keeps its extremes") {
    const auto extremes = []<class T>(T) {
      check_round_trip(std::numeric_limits<T>::min());
      check_round_trip(std::numeric_limits<T>::max());
      check_round_trip(std::numeric_limits<T>::lowest());
      check_round_trip(T{});
    };
    std::apply([&](auto... value) { (extremes(value), ...); },
               std::tuple<bool, char, signed char, unsigned char, wchar_t, char8_t, char16_t, char32_t, short,
                          unsigned short, int, unsigned, long, unsigned long, long long, unsigned long long,
                          float, double, long double>{});
  }

  TEST_CASE("integers of every size class come back") {
    for (int bit = 0; bit < 63; ++bit) {
      const std::int64_t power = std::int64_t{1} << bit;
      for (const std::int64_t value : {power - 1, power, -power, -power - 1}) {
        CAPTURE(value);
        CHECK(decode<std::int64_t>(encode(value)) == value);
      }
    }
  }

  TEST_CASE("infinities and not-a-number survive") {
    CHECK(decode<double>(encode(std::numeric_limits<double>::infinity())) ==
          std::numeric_limits<double>::infinity());
    CHECK(std::isnan(decode<float>(encode(std::numeric_limits<float>::quiet_NaN()))));
  }

  TEST_CASE("enums travel as their number") {
    check_round_trip(Colour::green);
    check_round_trip(large_one);
    CHECK(encode(Colour::green) == encode(1));
  }

  TEST_CASE("text and bytes come back with zeros and all") {
    check_round_trip(std::string());
    check_round_trip(std::string("a\0b", 3));
    check_round_trip(std::string(40, 'x'));
    check_round_trip(std::string(70'000, 'x'));
    check_round_trip(std::wstring(L"w\x00e4"));
    check_round_trip(std::vector<std::byte>{std::byte{0}, std::byte{255}});
    check_round_trip(std::vector<char>{'a', '\0'});
  }

  TEST_CASE("containers of everything come back") {
    check_round_trip(std::vector<std::string>{"a", "", "c"});
    check_round_trip(std::vector<bool>{true, false, true});
    check_round_trip(std::deque<int>{1, 2});
    check_round_trip(std::list<std::pair<int, std::string>>{{1, "a"}});
    check_round_trip(std::set<std::string>{"b", "a"});
    check_round_trip(std::multiset<int>{1, 1});
    check_round_trip(std::unordered_set<long>{5, 6});
    check_round_trip(std::map<std::string, int>{{"a", 1}, {"b", 2}});
    check_round_trip(std::multimap<int, int>{{1, 1}, {1, 2}});
    check_round_trip(std::unordered_map<int, std::vector<double>>{{1, {1.5}}});
    check_round_trip(std::array<std::string, 2>{"a", "b"});
    check_round_trip(std::array<int, 0>{});
    check_round_trip(std::vector<std::vector<int>>{{}, {1}, {2, 3}});
    check_round_trip(std::tuple<>{});
    check_round_trip(std::tuple<int, std::string, std::monostate>{1, "a", {}});
    check_round_trip(std::complex<double>{1, -2});
    check_round_trip(std::vector<int>(100));
    check_round_trip(std::vector<std::string>(100'000, "x"));
  }

  TEST_CASE("nested optionals keep which of them is empty") {
    using Twice = std::optional<std::optional<int>>;
    check_round_trip(Twice());
    check_round_trip(Twice(std::optional<int>()));
    check_round_trip(Twice(7));
    check_round_trip(std::optional<std::monostate>());
    check_round_trip(std::optional<std::monostate>(std::monostate{}));
    check_round_trip(std::optional<ByHand>(ByHand(42)));
  }

  TEST_CASE("variants keep their alternative, even between equal types") {
    using Choice = std::variant<int, std::string, int>;
    check_round_trip(Choice(std::in_place_index<0>, 5));
    check_round_trip(Choice(std::in_place_index<2>, 5));
    check_round_trip(Choice("text"));
    CHECK(refusal<Choice>(encode(std::tuple(3, 5)))
              .ends_with("expected one of 3 alternatives, found number 3"));
  }

  TEST_CASE("durations and time points come back in their own unit") {
    check_round_trip(std::chrono::nanoseconds(-5));
    check_round_trip(std::chrono::duration<double>(1.5));
    check_round_trip(std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000)));
  }

  TEST_CASE("structs with MSGPACK_DEFINE come back, however deep") {
    Everything everything{.colour = Colour::green, .choice = "text", .delay = std::chrono::milliseconds(5)};
    everything.maybe.emplace();
    everything.numbers = {1.5, 2.5};
    everything.files["a"] = {std::byte{1}};
    everything.flags = {true, false};
    everything.precise = 0.1L;
    check_round_trip(everything);
    check_round_trip(Named{"n", {{1, 2, 3}}});
    Derived derived;
    derived.id = 4;
    derived.text = "t";
    check_round_trip(derived);
    check_round_trip(Empty{});
    check_round_trip(Tree{1, {Tree{2, {}}, Tree{3, {Tree{4, {}}}}}});
    check_round_trip(ByHand(42));
    check_round_trip(std::vector<ByHand>{ByHand(1), ByHand(23)});
  }

  TEST_CASE("vectors of numbers and of plain structs travel as the bytes that they are") {
    CHECK(encode(std::vector<int>{1, 2, 3}).size() == 2 + 12);
    CHECK(encode(std::vector<Point>(10)).size() == 2 + 10 * sizeof(Point));
    CHECK(encode(std::vector<Nested>(2)).size() == 2 + 2 * sizeof(Nested));
    CHECK(encode(std::vector<std::array<float, 4>>(2)).size() == 2 + 32);
    check_round_trip(std::vector<Point>{{1, 2, 3}, {4, 5, 6}});
    check_round_trip(std::vector<Nested>(3));
    check_round_trip(std::array<Point, 2>{Point{1, 2, 3}, Point{4, 5, 6}});
    check_round_trip(std::vector<Colour>{Colour::green, Colour::red});
    check_round_trip(std::vector<std::complex<float>>{{1, 2}});
  }

  TEST_CASE("a struct in a vector sends what it sends alone: no padding, no member that is not listed") {
    int here = 0;
    check_alone_and_in_vector(Padded{1, 2});
    check_alone_and_in_vector(Gap{'a', 2});
    check_alone_and_in_vector(Secretive{.shown = 7, .hidden = &here});
    check_alone_and_in_vector(Caching{.value = 1, .cached = 77, .weight = 2.5});
    check_alone_and_in_vector(Flagged{1, 2});
    check_alone_and_in_vector(NestedPadded{});
    check_round_trip(std::vector<Padded>{{1, 2}, {3, 4}});
    check_round_trip(std::vector<Gap>{{'a', 2}, {'b', 4}});
    check_round_trip(std::array<Flagged, 2>{Flagged{1, 2}, Flagged{3, 4}});
    check_round_trip(std::vector<NestedPadded>(3));
    const auto secrets = decode<std::vector<Secretive>>(encode(std::vector<Secretive>(3, {7, &here})));
    CHECK(secrets.at(2).shown == 7);
    CHECK(secrets.at(2).hidden == nullptr);
    const auto cached = decode<std::vector<Caching>>(encode(std::vector<Caching>{{1, 77, 2.5}}));
    CHECK(cached.at(0).weight == 2.5);
    CHECK(cached.at(0).cached == 0);
  }

  TEST_CASE("an array of numbers written by another language is taken as well") {
    weft::detail::ByteBuffer bytes;
    weft::detail::ValueWriter writer(bytes);
    writer.array(2);
    writer.integer(1);
    writer.integer(-2);
    CHECK(decode<std::vector<long>>(bytes) == std::vector<long>{1, -2});
    CHECK(decode<std::array<short, 2>>(bytes) == std::array<short, 2>{1, -2});
  }

  TEST_CASE("what is not the right type, size or range is refused with a sentence") {
    CHECK(refusal<int>(encode(std::string("a"))) ==
          "these bytes are not a int: expected an integer, found text");
    CHECK(refusal<std::string>(encode(5)).ends_with("expected text, found an integer"));
    CHECK(refusal<signed char>(encode(300)).ends_with("300 does not fit signed char"));
    CHECK(refusal<unsigned>(encode(-1)).ends_with("-1 does not fit unsigned int"));
    CHECK(refusal<std::uint64_t>(encode(-1)).ends_with("-1 does not fit unsigned long"));
    CHECK(refusal<std::int64_t>(encode(UINT64_MAX)).ends_with("18446744073709551615 does not fit long"));
    CHECK(refusal<int>(encode(1.5)).ends_with("expected an integer, found a floating number"));
    CHECK(refusal<bool>(encode(1)).ends_with("expected a bool, found an integer"));
    CHECK(refusal<float>(encode(1e300)).find("does not fit float") != std::string::npos);
    CHECK(refusal<Colour>(encode(256)).ends_with("256 does not fit unsigned char"));
    CHECK(refusal<std::tuple<int, int>>(encode(std::tuple(1, 2, 3)))
              .ends_with("expected an array of 2, found one of 3"));
    CHECK(refusal<Point>(encode(std::tuple(1.0, 2.0))).ends_with("expected an array of 3, found one of 2"));
    CHECK(refusal<std::array<int, 2>>(encode(std::array<int, 3>{}))
              .ends_with("expected bytes, namely 8, found one of 12"));
    CHECK(refusal<std::vector<int>>(encode(std::vector<char>(5)))
              .ends_with("expected whole elements of 4 bytes, found 5 bytes"));
    CHECK(refusal<std::vector<Secretive>>(encode(std::vector<char>(16))).find("found bytes") !=
          std::string::npos);
    CHECK(refusal<int>("").ends_with("expected more, found the end"));
    CHECK(refusal<int>(encode(1) + "x").ends_with("1 bytes are left over"));
    CHECK(refusal<Named>(encode(std::map<std::string, std::string>{{"points", ""}, {"x", ""}}))
              .ends_with("expected the member name, found points"));
    CHECK(refusal<std::set<int>>(encode(std::deque<int>{1, 1})).ends_with("an element twice"));
  }

  TEST_CASE("a size that lies reserves nothing and is refused") {
    for (const char* bytes :
         {"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff"}) {
      CHECK_THROWS_AS(decode<std::vector<std::string>>(bytes), weft::Error);
      CHECK_THROWS_AS(decode<std::string>(bytes), weft::Error);
      CHECK_THROWS_AS(decode<std::vector<double>>(bytes), weft::Error);
      CHECK_THROWS_AS((decode<std::map<int, int>>(bytes)), weft::Error);
    }
  }

  TEST_CASE("structs nested without end are refused before the stack is") {
    std::string bytes;
    for (int depth = 0; depth < 100'000; ++depth) bytes += "\x92\x01\x91";
    CHECK(refusal<Tree>(bytes).ends_with("structs are nested more than 500 deep"));
  }

  TEST_CASE("100 MB of numbers go through without being taken apart") {
    std::vector<double> numbers(13'000'000, 1.25);
    const std::string bytes = encode(numbers);
    CHECK(bytes.size() == 5 + numbers.size() * sizeof(double));
    CHECK((decode<std::vector<double>>(bytes) == numbers));
  }

  TEST_CASE("the concept says what can travel") {
    CHECK(weft::serialisable<std::map<std::string, std::vector<std::optional<Point>>>>);
    CHECK_FALSE(weft::serialisable<int*>);
    CHECK_FALSE(weft::serialisable<std::vector<int*>>);
    CHECK_FALSE(weft::serialisable<std::string_view>);
    CHECK_FALSE(weft::serialisable<std::span<const int>>);
    CHECK_FALSE(weft::serialisable<std::unique_ptr<int>>);
    CHECK(weft::serialisable<Silent>);
    CHECK(weft::serialisable<std::tuple<int, Silent>>);
    CHECK_FALSE(weft::serialisable<NoDefault>);
    CHECK_FALSE(weft::serialisable<std::function<void()>>);
    CHECK_FALSE(weft::serialisable<std::vector<int>::iterator>);
  }

  TEST_CASE("a struct with what msgpack-c lacks also works with plain msgpack") {
    Everything everything{.colour = Colour::green, .choice = 5, .delay = std::chrono::milliseconds(5)};
    CHECK(through_plain_msgpack(everything) == everything);
  }

  TEST_CASE("types have the names that people write") {
    using weft::detail::type_name;
    CHECK(type_name<unsigned long>() == "unsigned long");
    CHECK(type_name<std::vector<std::map<std::string, long long>>>() ==
          "std::vector<std::map<std::string,long long>>");
    CHECK(type_name<std::array<std::optional<Point>, 2>>() ==
          "std::array<std::optional<serialise_test::Point>,2>");
    CHECK(type_name<std::chrono::milliseconds>() == "std::chrono::duration<long,1/1000>");
    CHECK(type_name<std::tuple<>>() == "std::tuple<>");
    CHECK(weft::detail::signature<void>() == "void()");
    CHECK(weft::detail::signature<long, long, double>() == "long(long,double)");
  }
}

// SPDX-License-Identifier: MIT
// Compares the tables of common/VALUES.md with the code: every row of the page must be true, and every row of
// this file must be in the page.
#include <doctest/doctest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/values_tables.hpp"
#include "weft/command.hpp"
#include "weft/function.hpp"

namespace shop {
enum class Colour : std::uint8_t { red, green };
struct Pixel {
  short x, y;
  MSGPACK_DEFINE(x, y)
};
struct Label {
  char code[3];
  bool sold;
  MSGPACK_DEFINE_MAP(code, sold)
};
struct Money {
  long cents;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(cents);
  }
  void msgpack_unpack(const msgpack::object& object) { cents = object.as<long>(); }
};
struct Item {
  std::string name;
  Pixel place;
  int sizes[2];
};
struct Point {
  double x, y;
};
struct Padded {
  char letter;
  double number;
};
class Celsius {
 public:
  explicit Celsius(double degrees) : degrees_(degrees) {}
  double degrees() const { return degrees_; }

 private:
  double degrees_;
};
}  // namespace shop

template <>
struct weft::adaptor<shop::Celsius> {
  static double to_wire(const shop::Celsius& celsius) { return celsius.degrees(); }
  static shop::Celsius from_wire(double degrees) { return shop::Celsius(degrees); }
};

namespace shop {
bool operator==(const Pixel& a, const Pixel& b) { return std::tie(a.x, a.y) == std::tie(b.x, b.y); }
bool operator==(const Label& a, const Label& b) {
  return std::ranges::equal(a.code, b.code) && a.sold == b.sold;
}
bool operator==(const Money& a, const Money& b) { return a.cents == b.cents; }
bool operator==(const Item& a, const Item& b) {
  return std::tie(a.name, a.place) == std::tie(b.name, b.place) && std::ranges::equal(a.sizes, b.sizes);
}
bool operator==(const Point& a, const Point& b) { return std::tie(a.x, a.y) == std::tie(b.x, b.y); }
bool operator==(const Padded& a, const Padded& b) {
  return std::tie(a.letter, a.number) == std::tie(b.letter, b.number);
}
bool operator==(const Celsius& a, const Celsius& b) { return a.degrees() == b.degrees(); }

template <class A, class B>
struct Pair {
  A first;
  B second;
};
template <class T, int N>
struct Grid {
  T cells[N];
};
}  // namespace shop

namespace weft::detail {
static bool operator==(const CommandRequest& a, const CommandRequest& b) {
  return std::tie(a.argv, a.input) == std::tie(b.argv, b.input);
}
}  // namespace weft::detail

namespace {

using namespace weft::values;
using namespace std::chrono_literals;

// ---- types and values, with their source text ----

/// The type of a parenthesised type, which may contain commas: Unparenthesised<void(T)>.
template <class F>
struct Unparenthesised;
template <class T>
struct Unparenthesised<void(T)> {
  using type = T;
};
template <>
struct Unparenthesised<void()> {
  using type = void;
};

std::string without_parentheses(std::string_view text) {
  return std::string(text.substr(1, text.size() - 2));
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    out += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return out;
}

/// The row of `value`. Also checks that the encoded bytes decode to `value`.
template <class T>
Row example(std::string_view type, std::string_view value_text, const T& value) {
  const std::string bytes = weft::detail::encode(value).take();
  CHECK_MESSAGE(weft::detail::decode<T>(bytes) == value, type << " " << value_text);
  return {without_parentheses(type), std::string(value_text), hex(bytes)};
}

/// The row of a value of `parenthesised` type, initialised with `= ...`.
#define EXAMPLE(parenthesised, ...)                                      \
  [] {                                                                   \
    const Unparenthesised<void parenthesised>::type value = __VA_ARGS__; \
    return example(#parenthesised, #__VA_ARGS__, value);                 \
  }()

std::vector<Row> scalar_examples() {
  return {
      EXAMPLE((bool), true),
      EXAMPLE((int), 7),
      EXAMPLE((int), 128),
      EXAMPLE((int), -1),
      EXAMPLE((long), -3000000000),
      EXAMPLE((std::uint64_t), 18446744073709551615u),
      EXAMPLE((char), 'a'),
      EXAMPLE((char32_t), U'\x20ac'),
      EXAMPLE((float), 1.5f),
      EXAMPLE((long double), 1.5L),
      EXAMPLE((shop::Colour), shop::Colour::green),
      EXAMPLE((std::string), "hi"),
      EXAMPLE((std::string), "\xff"),
      EXAMPLE((std::wstring), L"hi"),
      EXAMPLE((std::chrono::milliseconds), 1500ms),
      EXAMPLE((std::chrono::duration<double>), 1.5s),
      EXAMPLE((std::chrono::sys_seconds), std::chrono::sys_seconds(90s)),
      EXAMPLE((std::complex<float>), {1, -2}),
      EXAMPLE((std::monostate), {}),
  };
}

std::vector<Row> sum_and_product_examples() {
  return {
      EXAMPLE((std::optional<int>), 5),
      EXAMPLE((std::optional<std::optional<int>>), {}),
      EXAMPLE((std::optional<std::optional<int>>), std::optional<int>()),
      EXAMPLE((std::optional<std::optional<int>>), 5),
      EXAMPLE((std::optional<shop::Money>), shop::Money{250}),
      EXAMPLE((std::variant<std::monostate, int, std::string>), {}),
      EXAMPLE((std::variant<std::monostate, int, std::string>), "a"),
      EXAMPLE((std::pair<int, std::string>), {1, "a"}),
      EXAMPLE((std::tuple<long, double>), {2, 0.5}),
      EXAMPLE((std::tuple<>), {}),
  };
}

std::vector<Row> container_examples() {
  return {
      EXAMPLE((std::vector<int>), {}),
      EXAMPLE((std::vector<int>), {1, -2}),
      EXAMPLE((std::vector<std::byte>), {std::byte{0}, std::byte{255}}),
      EXAMPLE((std::vector<bool>), {true, false}),
      EXAMPLE((std::vector<std::string>), {"a", "b"}),
      EXAMPLE((std::vector<std::vector<short>>), {{}, {1, 2}}),
      EXAMPLE((std::vector<std::array<short, 2>>), {{1, 2}, {3, 4}}),
      EXAMPLE((std::vector<std::chrono::seconds>), {1s, 2s}),
      EXAMPLE((std::array<std::uint16_t, 2>), {1, 2}),
      EXAMPLE((std::deque<int>), {1, 2}),
      EXAMPLE((std::set<int>), {1, 2}),
      EXAMPLE((std::map<std::string, int>), {{"a", 1}, {"b", 2}}),
  };
}

std::vector<Row> struct_examples() {
  return {
      EXAMPLE((shop::Pixel), {1, 2}),
      EXAMPLE((std::vector<shop::Pixel>), {{1, 2}, {3, 4}}),
      EXAMPLE((shop::Label), {"ab", true}),
      EXAMPLE((std::vector<shop::Label>), {{"ab", true}}),
      EXAMPLE((shop::Money), {250}),
      EXAMPLE((shop::Item), {"hi", {1, 2}, {3, 4}}),
      EXAMPLE((shop::Point), {1, 2}),
      EXAMPLE((std::vector<shop::Point>), {{1, 2}}),
      EXAMPLE((std::vector<shop::Padded>), {{'a', 2}}),
      EXAMPLE((shop::Celsius), shop::Celsius(1.5)),
      EXAMPLE((std::vector<shop::Celsius>), {shop::Celsius(1.5)}),
      EXAMPLE((weft::detail::CommandRequest), {{"cat", "-n"}, "hi"}),
      EXAMPLE((weft::CommandResult), {0, "hi", ""}),
  };
}

std::vector<Row> all_examples() {
  std::vector<Row> out;
  for (const auto& rows :
       {scalar_examples(), sum_and_product_examples(), container_examples(), struct_examples()})
    out.insert(out.end(), rows.begin(), rows.end());
  return out;
}

// ---- signatures ----

template <class P>
void take(P) {}
void nothing() {}

/// The row of P as a parameter's type, or of void as a result's.
template <class P>
Row spelling(std::string_view type) {
  std::string signature;
  if constexpr (std::is_void_v<P>)
    signature = weft::detail::Call<&nothing>::signature();
  else
    signature = weft::detail::Call<&take<P>>::signature();
  const auto open = signature.find('(');
  const std::string result = signature.substr(0, open);
  const std::string parameter = signature.substr(open + 1, signature.size() - open - 2);
  CHECK(result == "void");
  return {without_parentheses(type), std::is_void_v<P> ? result : parameter};
}

#define SPELLING(parenthesised) spelling<Unparenthesised<void parenthesised>::type>(#parenthesised)

std::vector<Row> all_spellings() {
  return {
      SPELLING((void)),
      SPELLING((bool)),
      SPELLING((char)),
      SPELLING((char8_t)),
      SPELLING((wchar_t)),
      SPELLING((std::int8_t)),
      SPELLING((std::uint8_t)),
      SPELLING((std::int16_t)),
      SPELLING((std::uint16_t)),
      SPELLING((std::int32_t)),
      SPELLING((std::uint32_t)),
      SPELLING((std::int64_t)),
      SPELLING((std::uint64_t)),
      SPELLING((long long)),
      SPELLING((unsigned long long)),
      SPELLING((float)),
      SPELLING((double)),
      SPELLING((long double)),
      SPELLING((std::byte)),
      SPELLING((std::string)),
      SPELLING((std::string_view)),
      SPELLING((std::wstring)),
      SPELLING((const std::string&)),
      SPELLING((std::span<const double>)),
      SPELLING((std::vector<std::string>)),
      SPELLING((std::vector<bool>)),
      SPELLING((std::array<float, 3>)),
      SPELLING((std::deque<int>)),
      SPELLING((std::set<int>)),
      SPELLING((std::map<std::string, long>)),
      SPELLING((std::optional<int>)),
      SPELLING((std::variant<std::monostate, int>)),
      SPELLING((std::pair<int, std::string>)),
      SPELLING((std::tuple<>)),
      SPELLING((std::complex<double>)),
      SPELLING((std::chrono::seconds)),
      SPELLING((std::chrono::milliseconds)),
      SPELLING((std::chrono::duration<double>)),
      SPELLING((std::chrono::system_clock::time_point)),
      SPELLING((shop::Pixel)),
      SPELLING((std::vector<std::vector<shop::Colour>>)),
      SPELLING((shop::Item)),
      SPELLING((shop::Celsius)),
      SPELLING((shop::Pair<int, std::string>)),
      SPELLING((shop::Grid<double, 3>)),
  };
}

long total(long a, double b) { return a + static_cast<long>(b); }

template <class T>
T read(std::initializer_list<unsigned char> bytes) {
  return weft::detail::decode<T>(std::string(bytes.begin(), bytes.end()));
}

/// The first block of C++ in the page.
std::string structs_of_page() {
  const std::string page = file_text(kRoot / "common" / "VALUES.md");
  constexpr std::string_view kFence = "```cpp\n";
  const auto begin = page.find(kFence);
  REQUIRE(begin != std::string::npos);
  return page.substr(begin + kFence.size(), page.find("```", begin + kFence.size()) - begin - kFence.size());
}

}  // namespace

TEST_SUITE("values page") {
  TEST_CASE(
      "every example in VALUES.md is what encode gives, and every example of this test is in VALUES.md") {
    std::vector<Row> rows = table_of_page("| C++ type | value | bytes |");
    for (Row& row : rows) std::erase(row.back(), ' ');  // the page may group bytes
    check_same_rows(rows, all_examples());
  }

  TEST_CASE(
      "every spelling in VALUES.md is the one in signatures, and every one of this test is in VALUES.md") {
    const auto rows = table_of_page("| C++ type | spelling | C++ type | spelling | C++ type | spelling |");
    check_same_rows(pairs_of(rows), all_spellings());
  }

  TEST_CASE("the structs that VALUES.md shows are those of its examples") {
    const std::string source = file_text(kRoot / "tests" / "unit" / "test_values_page.cpp");
    CHECK_MESSAGE(source.find(structs_of_page()) != std::string::npos, "they differ: " << structs_of_page());
  }

  TEST_CASE("the payload of a call is the array of its arguments, and that of a void result is nil") {
    using weft::detail::decode;
    using weft::detail::encode;
    using Total = weft::detail::Call<&total>;
    using Nothing = weft::detail::Call<&nothing>;
    CHECK(Total::signature() == "long(long,double)");
    const bool same =
        Total::encode(2, 0.5) == encode(std::tuple<long, double>(2, 0.5));  // doctest would copy a ByteBuffer
    CHECK(same);
    CHECK(decode<long>(Total::invoke(encode(std::tuple<long, double>(2, 0.5)))) == 2);
    CHECK(hex(Nothing::encode()) == "90");
    CHECK(hex(Nothing::invoke(encode(std::tuple<>()))) == "c0");
  }

  TEST_CASE("a reader accepts the other forms that VALUES.md allows") {
    CHECK(read<char>({0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}) == -2);
    CHECK(read<unsigned>({0xd1, 0x00, 0x05}) == 5);
    CHECK(read<double>({0xff}) == -1);
    CHECK(read<double>({0xca, 0x3f, 0xc0, 0x00, 0x00}) == 1.5);
    CHECK(read<float>({0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}) == 1.5f);
    CHECK(read<std::string>({0xdb, 0, 0, 0, 1, 'a'}) == "a");
    CHECK(read<std::vector<int>>({0xdd, 0, 0, 0, 1, 0x07}) == std::vector{7});
    CHECK(read<std::vector<short>>({0xc6, 0, 0, 0, 2, 0x07, 0x00}) == std::vector<short>{7});
    CHECK(read<std::vector<shop::Pixel>>({0x91, 0x92, 0x01, 0x02}) == std::vector<shop::Pixel>{{1, 2}});
    CHECK(read<std::vector<int>>({0xc4, 0x00}).empty());
    CHECK(read<shop::Colour>({0x07}) == static_cast<shop::Colour>(7));
    CHECK(read<std::map<int, int>>({0xde, 0, 2, 2, 2, 1, 1}).size() == 2);
  }

  TEST_CASE("a reader refuses what VALUES.md says that it refuses") {
    CHECK_THROWS_AS(read<std::string>({0xc4, 1, 'a'}), weft::Error);
    CHECK_THROWS_AS(read<std::vector<std::byte>>({0xa1, 'a'}), weft::Error);
    CHECK_THROWS_AS(read<std::deque<int>>({0xc4, 4, 1, 0, 0, 0}), weft::Error);
    CHECK_THROWS_AS(read<std::chrono::seconds>({0xca, 0x3f, 0xc0, 0x00, 0x00}), weft::Error);
    CHECK_THROWS_AS(read<int>({0xd6, 0xff, 0, 0, 0, 1}), weft::Error);
    CHECK_THROWS_AS(read<std::vector<shop::Label>>({0xc4, 4, 'a', 'b', 0, 1}), weft::Error);
    CHECK_THROWS_AS(
        read<std::vector<shop::Padded>>({0xc4, 16, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
        weft::Error);
    CHECK_THROWS_AS((read<std::map<int, int>>({0x82, 1, 1, 1, 1})), weft::Error);
    CHECK_THROWS_AS(read<shop::Pixel>({0x93, 1, 2, 3}), weft::Error);
    CHECK_THROWS_AS(
        read<shop::Label>({0x82, 0xa4, 's', 'o', 'l', 'd', 0xc3, 0xa4, 'c', 'o', 'd', 'e', 0xc4, 3, 1, 2, 3}),
        weft::Error);
    CHECK_THROWS_AS(read<int>({0x01, 0x01}), weft::Error);
  }
}

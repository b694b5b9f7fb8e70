// SPDX-License-Identifier: MIT
// Types without MSGPACK_DEFINE: aggregates, and types of other libraries with a weft::adaptor.
#include <doctest/doctest.h>

#include <filesystem>
#include <stdexcept>

#include "tests/unit/plain_msgpack.hpp"
#include "weft/function.hpp"

using weft::detail::decode;

namespace adaptor_test {

template <class T>
std::string encode(const T& value) {
  return weft::detail::encode(value).take();
}
template <class T>
void check_round_trip(const T& value) {
  const std::string bytes = encode(value);
  CHECK(decode<T>(bytes) == value);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_THROWS_AS(decode<T>(std::string_view(bytes).substr(0, size)), weft::Error);
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

/// A type of another library, without a default constructor.
class Celsius {
 public:
  explicit Celsius(double degrees) : degrees_(degrees) {}
  double degrees() const { return degrees_; }
  auto operator<=>(const Celsius&) const = default;

 private:
  double degrees_;
};
/// A type with default constructor and assignment, and larger.
class Matrix {
 public:
  Matrix() = default;
  Matrix(long rows, long columns, std::vector<double> cells)
      : rows_(rows), columns_(columns), cells_(std::move(cells)) {
    if (static_cast<std::size_t>(rows * columns) != cells_.size())
      throw std::invalid_argument("a matrix of another size");
  }
  long rows() const { return rows_; }
  long columns() const { return columns_; }
  const std::vector<double>& cells() const { return cells_; }
  bool operator==(const Matrix&) const = default;

 private:
  long rows_ = 0, columns_ = 0;
  std::vector<double> cells_;
};
template <class T, int N>
class Box {
 public:
  explicit Box(T value) : value_(std::move(value)) {}
  const T& value() const { return value_; }
  bool operator==(const Box&) const = default;

 private:
  T value_;
};
/// A type that contains itself.
class Tree {
 public:
  explicit Tree(int value, std::vector<Tree> children = {}) : value_(value), children_(std::move(children)) {}
  int value() const { return value_; }
  const std::vector<Tree>& children() const { return children_; }
  bool operator==(const Tree&) const = default;

 private:
  int value_;
  std::vector<Tree> children_;
};
enum class Level { low, high };
struct Secret {  // an aggregate: its adaptor comes first
  int shown = 0;
  int hidden = 0;
};

struct Vec {
  double x, y, z;
  bool operator==(const Vec&) const = default;
};
struct Person {
  std::string name;
  std::vector<Vec> path;
  std::optional<int> age;
  Vec home{};
  char code[4] = {};
  int table[2][3] = {};
  bool operator==(const Person&) const = default;
};
struct Padded {
  char letter;
  double number;
  bool operator==(const Padded&) const = default;
};
struct PairOfVecs {
  std::array<Vec, 2> ends;
  bool operator==(const PairOfVecs&) const = default;
};
struct Node {
  int value = 0;
  std::vector<Node> children;
  std::map<std::string, Node> named;
  bool operator==(const Node&) const = default;
};
struct Reading {  // neither default constructor nor assignment
  Celsius temperature;
  const int station;
  std::array<Celsius, 2> extremes;
  std::pair<Celsius, std::string> note;
  std::variant<Celsius, std::string> either;
  std::optional<Celsius> maybe;
  bool operator==(const Reading&) const = default;
};
struct Functor {
  double factor = 1;
  double operator()(double x) const { return factor * x; }
  bool operator==(const Functor&) const = default;
};
template <class T>
struct Named {
  std::string name;
  T value;
  bool operator==(const Named&) const = default;
};
struct Listed {  // everything above, as members of a struct with the macro
  Vec vec{};
  Matrix matrix;
  Celsius temperature{0};
  std::vector<Celsius> history;
  std::vector<Vec> path;
  std::map<std::string, Reading> readings;
  std::optional<Celsius> maybe;
  std::complex<double> number;
  std::filesystem::path file;
  MSGPACK_DEFINE(vec, matrix, temperature, history, path, readings, maybe, number, file)
  bool operator==(const Listed&) const = default;
};
struct Wide {
  int a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6, c7, c8, d1, d2,
      d3, d4, d5, d6, d7, d8;
  bool operator==(const Wide&) const = default;
};
struct OneMember {
  Vec vec;
  bool operator==(const OneMember&) const = default;
};
struct Initialised {  // {} does not initialise the first one
  Celsius temperature = Celsius(20);
  std::string name;
  bool operator==(const Initialised&) const = default;
};

Reading reading() { return {Celsius(1), 7, {Celsius(2), Celsius(3)}, {Celsius(4), "n"}, "text", Celsius(5)}; }
double sum_of(Celsius a, const Matrix& b, std::vector<Vec> c, Reading d) {
  return a.degrees() + b.cells().at(0) + c.at(0).x + d.temperature.degrees();
}
Celsius warmer(Celsius than) { return Celsius(than.degrees() + 1); }

}  // namespace adaptor_test

using namespace adaptor_test;

template <>
struct weft::adaptor<Celsius> {
  static double to_wire(const Celsius& value) { return value.degrees(); }
  static Celsius from_wire(double degrees) { return Celsius(degrees); }
};
template <>
struct weft::adaptor<Matrix> {
  using Wire = std::tuple<long, long, std::vector<double>>;
  static Wire to_wire(const Matrix& matrix) { return {matrix.rows(), matrix.columns(), matrix.cells()}; }
  static Matrix from_wire(Wire wire) {
    return {std::get<0>(wire), std::get<1>(wire), std::move(std::get<2>(wire))};
  }
};
template <class T, int N>
struct weft::adaptor<Box<T, N>> {
  static const T& to_wire(const Box<T, N>& box) { return box.value(); }
  static Box<T, N> from_wire(T value) { return Box<T, N>(std::move(value)); }
};
template <>
struct weft::adaptor<adaptor_test::Tree> {
  static std::pair<int, std::vector<adaptor_test::Tree>> to_wire(const adaptor_test::Tree& tree) {
    return {tree.value(), tree.children()};
  }
  static adaptor_test::Tree from_wire(std::pair<int, std::vector<adaptor_test::Tree>> wire) {
    return adaptor_test::Tree(wire.first, std::move(wire.second));
  }
};
template <>
struct weft::adaptor<Level> {
  static std::string to_wire(Level level) { return level == Level::low ? "low" : "high"; }
  static Level from_wire(const std::string& text) { return text == "low" ? Level::low : Level::high; }
};
template <>
struct weft::adaptor<Secret> {
  static int to_wire(const Secret& secret) { return secret.shown; }
  static Secret from_wire(int shown) { return {.shown = shown}; }
};
template <>
struct weft::adaptor<std::filesystem::path> {
  static std::string to_wire(const std::filesystem::path& path) { return path.string(); }
  static std::filesystem::path from_wire(std::string text) { return text; }
};

TEST_SUITE("adaptors and aggregates") {
  TEST_CASE("a type with an adaptor travels as what the adaptor makes of it, wherever it stands") {
    CHECK(encode(Celsius(21.5)) == encode(21.5));
    CHECK(encode(Level::high) == encode(std::string("high")));
    CHECK(encode(std::vector<Level>(2, Level::low)) == encode(std::vector<std::string>{"low", "low"}));
    check_round_trip(Celsius(21.5));
    check_round_trip(Matrix(2, 2, {1, 2, 3, 4}));
    check_round_trip(std::filesystem::path("/tmp/a b"));
    check_round_trip(std::vector<Celsius>{Celsius(1), Celsius(2)});
    check_round_trip(std::deque<Celsius>{Celsius(1)});
    check_round_trip(std::list<Celsius>{Celsius(1)});
    check_round_trip(std::set<Celsius>{Celsius(1), Celsius(2)});
    check_round_trip(std::map<Celsius, Celsius>{{Celsius(1), Celsius(2)}});
    check_round_trip(std::map<std::string, Matrix>{{"a", Matrix(1, 1, {5})}});
    check_round_trip(std::optional<Celsius>(Celsius(1)));
    check_round_trip(std::optional<Celsius>());
    check_round_trip(std::pair<Celsius, int>(Celsius(1), 2));
    check_round_trip(std::tuple<int, Celsius, Matrix>(1, Celsius(2), Matrix()));
    check_round_trip(std::array<Celsius, 3>{Celsius(1), Celsius(2), Celsius(3)});
    check_round_trip(std::variant<Celsius, std::string>("text"));
    check_round_trip(std::variant<Celsius, std::string>(Celsius(1)));
    check_round_trip(std::variant<std::string, Celsius>(Celsius(1)));
    check_round_trip(std::vector<std::optional<std::pair<Celsius, Level>>>{{}, {{Celsius(1), Level::high}}});
    check_round_trip(
        adaptor_test::Tree(1, {adaptor_test::Tree(2), adaptor_test::Tree(3, {adaptor_test::Tree(4)})}));
    check_round_trip(Box<std::string, 3>("x"));
    CHECK(decode<Secret>(encode(Secret{.shown = 1, .hidden = 2})).hidden == 0);
  }

  TEST_CASE("an optional keeps whether it is empty, though the adaptor may make a nil of its value") {
    using Maybe = std::optional<Box<std::optional<int>, 0>>;
    check_round_trip(Maybe());
    check_round_trip(Maybe(Box<std::optional<int>, 0>(std::nullopt)));
    check_round_trip(Maybe(Box<std::optional<int>, 0>(5)));
  }

  TEST_CASE("what an adaptor does not take is refused in its own words") {
    CHECK(refusal<Matrix>(encode(std::tuple<long, long, std::vector<double>>(2, 2, {1}))) ==
          "these bytes are not a adaptor_test::Matrix: the adaptor of adaptor_test::Matrix does not take it: "
          "a matrix "
          "of another size");
    CHECK(refusal<Celsius>(encode(std::string("warm"))).ends_with("expected a number, found text"));
    std::string deep;
    for (int depth = 0; depth < 100'000; ++depth) deep += "\x92\x01\x91";
    CHECK(refusal<adaptor_test::Tree>(deep).ends_with("nested more than 500 deep"));
    deep.clear();
    for (int depth = 0; depth < 100'000; ++depth) deep += "\x93\x01\x91";
    CHECK(refusal<Node>(deep).ends_with("nested more than 500 deep"));
  }

  TEST_CASE("an aggregate travels as the array of its members, as if MSGPACK_DEFINE named them all") {
    CHECK(encode(Vec{1, 2, 3}) == encode(std::tuple(1.0, 2.0, 3.0)));
    CHECK(encode(OneMember{{1, 2, 3}}) == "\x91" + encode(Vec{1, 2, 3}));
    check_round_trip(Vec{1, 2, 3});
    check_round_trip(Person{"n", {{1, 2, 3}}, 5, {4, 5, 6}, "abc", {{1, 2, 3}, {4, 5, 6}}});
    check_round_trip(Node{1, {{2, {}, {}}}, {{"a", {3, {}, {}}}}});
    check_round_trip(reading());
    check_round_trip(std::vector<Reading>{reading(), reading()});
    check_round_trip(Functor{2.5});
    check_round_trip(Named<std::vector<int>>{"a", {1}});
    check_round_trip(Wide{.a1 = 1, .d8 = 32});
    check_round_trip(OneMember{{1, 2, 3}});
    check_round_trip(Initialised{Celsius(1), "n"});
    CHECK(refusal<Vec>(encode(std::tuple(1.0, 2.0))).ends_with("expected an array of 3, found one of 2"));
  }

  TEST_CASE(
      "aggregates without a gap travel in vectors as the bytes that they are, others by their members") {
    CHECK(encode(std::vector<Vec>(10)).size() == 2 + 10 * sizeof(Vec));
    CHECK(encode(std::vector<PairOfVecs>(2)).size() == 2 + 2 * sizeof(PairOfVecs));
    check_round_trip(std::vector<Vec>{{1, 2, 3}, {4, 5, 6}});
    check_round_trip(std::vector<PairOfVecs>(3));
    const Padded padded{'a', 2};
    CHECK(encode(std::vector{padded, padded}) == "\x92" + encode(padded) + encode(padded));
    check_round_trip(std::vector{padded});
    CHECK(refusal<std::vector<Padded>>(encode(std::vector<char>(16)))
              .ends_with("expected an array, found bytes"));
  }

  TEST_CASE("they are parameters, results and members of structs with MSGPACK_DEFINE") {
    using Sum = weft::detail::Call<&sum_of>;
    const auto payload =
        Sum::encode(Celsius(1), Matrix(1, 1, {10}), std::vector<Vec>{{100, 0, 0}}, reading());
    CHECK(decode<double>(Sum::invoke(payload)) == 112);
    using Warmer = weft::detail::Call<&warmer>;
    CHECK(decode<Celsius>(Warmer::invoke(Warmer::encode(Celsius(1)))) == Celsius(2));

    Listed listed{.temperature = Celsius(3)};
    listed.vec = {1, 2, 3};
    listed.matrix = Matrix(1, 2, {5, 6});
    listed.history = {Celsius(1), Celsius(2)};
    listed.path = {{7, 8, 9}};
    listed.readings.emplace("a", reading());
    listed.number = {1, 2};
    listed.file = "/tmp";
    const auto back = decode<Listed>(encode(listed));
    CHECK(encode(back) == encode(listed));
    CHECK(back == listed);
    CHECK(through_plain_msgpack(listed) == listed);
  }

  TEST_CASE("in signatures they have the names of their types") {
    using weft::detail::type_name;
    CHECK(weft::detail::Call<&sum_of>::signature() ==
          "double(adaptor_test::Celsius,adaptor_test::Matrix,std::vector<adaptor_test::Vec>,adaptor_test::"
          "Reading)");
    CHECK(type_name<std::filesystem::path>() == "std::filesystem::path");
    CHECK(type_name<Box<std::string, 3>>() == "adaptor_test::Box<std::string, 3>");
    CHECK(type_name<Named<unsigned long>>() == "adaptor_test::Named<unsigned long>");
    CHECK(type_name<Named<std::vector<std::map<int, std::string>>>>() ==
          "adaptor_test::Named<std::vector<std::map<int,std::string>>>");
  }
}

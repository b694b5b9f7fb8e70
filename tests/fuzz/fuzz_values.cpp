// SPDX-License-Identifier: MIT
// Arbitrary bytes as arguments and results of many types. The first byte chooses the type. Whatever decodes
// must be encoded to bytes that decode and are encoded to the same.
#include <array>
#include <chrono>
#include <complex>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <unordered_map>
#include <variant>

#include "tests/fuzz/input.hpp"
#include "weft/command.hpp"
#include "weft/serialise.hpp"

using namespace weft;

namespace {

enum class Colour : std::uint8_t { red, green };

struct Point {
  double x = 0, y = 0;
  MSGPACK_DEFINE(x, y)
};
struct Tree {
  int value = 0;
  std::vector<Tree> children;
  MSGPACK_DEFINE(value, children)
};
struct Named {
  std::string name;
  std::vector<Point> points;
  MSGPACK_DEFINE_MAP(name, points)
};
struct Everything {
  Colour colour = Colour::red;
  std::variant<std::monostate, int, std::string, std::vector<std::variant<long, std::string>>> choice;
  std::optional<std::optional<int>> maybe;
  std::chrono::milliseconds delay{};
  std::vector<double> numbers;
  std::map<std::string, std::vector<std::byte>> files;
  std::vector<bool> flags;
  long double precise = 0;
  char32_t letter = U'a';
  int fixed[3] = {1, 2, 3};
  std::tuple<short, std::wstring, std::complex<float>> three;
  MSGPACK_DEFINE(colour, choice, maybe, delay, numbers, files, flags, precise, letter, fixed, three)
};

/// A type with an adaptor and without a default constructor.
class Celsius {
 public:
  explicit Celsius(double degrees) : degrees_(degrees) {
    if (!(degrees >= -273.15)) throw std::out_of_range("too cold");
  }
  double degrees() const { return degrees_; }

 private:
  double degrees_;
};
}  // namespace

template <>
struct weft::adaptor<Celsius> {
  static double to_wire(const Celsius& celsius) { return celsius.degrees(); }
  static Celsius from_wire(double degrees) { return Celsius(degrees); }
};

namespace {

struct Reading {  // an aggregate that is constructed from its members
  Celsius now;
  std::array<Celsius, 2> extremes;
  std::variant<Celsius, std::string> either;
  std::vector<Reading> before;
};
struct Pair {  // an aggregate that is filled in place, and raw in a vector
  std::int32_t a, b;
};

template <class T>
void decode_twice(std::string_view bytes) {
  std::optional<T> value;
  try {
    value.emplace(detail::decode<T>(bytes));
  } catch (const Error&) {
    return;
  }
  const detail::ByteBuffer encoded = detail::encode(*value);
  WEFT_CHECK(detail::encode(detail::decode<T>(encoded)) == encoded.view());
}

template <class... T>
struct Types {
  static void decode(std::size_t which, std::string_view bytes) {
    static constexpr std::array<void (*)(std::string_view), sizeof...(T)> kDecoders = {&decode_twice<T>...};
    kDecoders[which % sizeof...(T)](bytes);
  }
};

using All =
    Types<Everything, Tree, Named, std::vector<Point>, std::vector<std::vector<std::string>>,
          std::map<std::string, std::vector<std::optional<int>>>, std::set<std::pair<int, std::string>>,
          std::unordered_map<long, std::list<std::string>>, std::deque<std::array<std::uint16_t, 3>>,
          std::variant<Point, std::string, std::vector<Colour>>, std::optional<std::vector<Tree>>, bool,
          std::int8_t, std::uint64_t, float, double, std::string, std::wstring, std::monostate,
          std::chrono::system_clock::time_point, std::vector<std::byte>, std::multimap<Colour, Named>,
          CommandResult, Reading, std::map<std::string, std::optional<Celsius>>, std::vector<Pair>>;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::size_t which = in.byte();
  All::decode(which, in.rest());
  return 0;
}

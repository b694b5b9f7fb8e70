// expect: success
// Everything that is allowed: the headers alone, with all the warnings that users turn on.
#include <weft/adaptor.hpp>
#include <weft/command.hpp>
#include <weft/error.hpp>
#include <weft/function.hpp>
#include <weft/init.hpp>
#include <weft/task_library.hpp>
#include <weft/this_task.hpp>

enum class Colour { red };
struct Point {
  double x = 0;
  Colour colour = Colour::red;
  std::variant<int, std::string> choice;
  MSGPACK_DEFINE(x, colour, choice)
};
struct Plain {
  double weights[3];
  std::string name;
};
class Opaque {
 public:
  explicit Opaque(int value) : value_(value) {}
  int value() const { return value_; }

 private:
  int value_;
};
template <>
struct weft::adaptor<Opaque> {
  static int to_wire(const Opaque& opaque) { return opaque.value(); }
  static Opaque from_wire(int value) { return Opaque(value); }
};
struct Both {
  std::vector<Plain> plain;
  std::map<int, Opaque> opaque;
  std::optional<Opaque> maybe;
  MSGPACK_DEFINE(plain, opaque, maybe)
};
Both both(const Plain& plain, Opaque opaque) { return {{plain}, {{1, opaque}}, opaque}; }
auto both_bytes = weft::detail::Call<both>::encode(Plain{{1, 2, 3}, "name"}, Opaque(1));
std::optional<Point> nearest(std::string_view name, std::span<const double> values,
                             const std::vector<Point>& points, std::vector<int>&& numbers,
                             std::string text) noexcept;
auto bytes = weft::detail::Call<nearest>::encode("name", std::vector<double>(), std::vector<Point>(),
                                                 std::vector<int>(), "text");
long add(long a, long b) { return a + b; }
WEFT_TASK(add, add)
WEFT_TASK("sums/add", add)

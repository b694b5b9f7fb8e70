// expect: success
// What is allowed, beside what is not: the headers alone, with all the warnings that users turn on.
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
std::optional<Point> nearest(std::string_view name, std::span<const double> values,
                             const std::vector<Point>& points, std::vector<int>&& numbers,
                             std::string text) noexcept;
auto bytes = weft::detail::Call<nearest>::encode("name", std::vector<double>(), std::vector<Point>(),
                                                 std::vector<int>(), "text");
long add(long a, long b) { return a + b; }
WEFT_TASK(add, add)
WEFT_TASK("sums/add", add)

// expect: weft: the members of a struct with a base cannot be found
// names: Coloured
#include <weft/function.hpp>

struct Point {
  int x, y;
};
struct Coloured : Point {
  int colour;
};
int f(Coloured point) { return point.x; }
auto bytes = weft::detail::Call<f>::encode(Coloured());

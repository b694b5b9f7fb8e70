// expect: weft: this type needs a default constructor
// names: Fixed
#include <weft/function.hpp>

struct Fixed {
  explicit Fixed(int value) : x(value) {}
  int x;
  MSGPACK_DEFINE(x)
};
int f(Fixed x) { return x.x; }
auto bytes = weft::detail::Call<f>::encode(Fixed(1));

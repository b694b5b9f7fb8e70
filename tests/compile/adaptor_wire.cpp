// expect: weft: a pointer means nothing in another process
// names: Celsius
#include <weft/function.hpp>

class Celsius {
  double degrees_ = 0;
};
template <>
struct weft::adaptor<Celsius> {
  static const char* to_wire(const Celsius&) { return ""; }
  static Celsius from_wire(const char*) { return {}; }
};
int f(Celsius) { return 1; }
auto bytes = weft::detail::Call<f>::encode(Celsius());

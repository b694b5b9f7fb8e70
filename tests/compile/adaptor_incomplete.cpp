// expect: weft: the adaptor of this type lacks something
// names: Celsius
#include <weft/function.hpp>

class Celsius {
  double degrees_ = 0;
};
template <>
struct weft::adaptor<Celsius> {
  static double to_wire(const Celsius&) { return 0; }
};
int f(std::optional<Celsius>) { return 1; }
auto bytes = weft::detail::Call<f>::encode(std::optional<Celsius>());

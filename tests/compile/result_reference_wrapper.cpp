// expect: weft: a reference means nothing in another process
#include <weft/function.hpp>

std::reference_wrapper<int> f() {
  static int x;
  return x;
}
auto bytes = weft::detail::Call<f>::encode();

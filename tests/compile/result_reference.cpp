// expect: weft: a function cannot return a reference to what it has in another process
#include <weft/function.hpp>

int& f() {
  static int x;
  return x;
}
auto bytes = weft::detail::Call<f>::encode();

// expect: weft: a union does not say what it holds
// names: Either
#include <weft/function.hpp>

union Either {
  int number;
  float part;
};
int f(Either either) { return either.number; }
auto bytes = weft::detail::Call<f>::encode(Either());

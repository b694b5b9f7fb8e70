// expect: weft: a member function needs its object
#include <weft/function.hpp>

struct Counter {
  int next(int x) { return x + 1; }
};
auto bytes = weft::detail::Call<&Counter::next>::encode(1);

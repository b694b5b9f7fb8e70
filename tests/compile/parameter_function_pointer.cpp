// expect: weft: a function cannot travel as a value
#include <weft/function.hpp>

int f(int (*g)(int)) { return g(1); }
auto bytes = weft::detail::Call<f>::encode(nullptr);

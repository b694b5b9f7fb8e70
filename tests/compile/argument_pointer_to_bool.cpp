// expect: weft: this argument does not convert to the type of the function's parameter
#include <weft/function.hpp>

int f(bool x) { return x; }
auto bytes = weft::detail::Call<f>::encode("true");

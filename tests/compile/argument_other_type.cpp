// expect: weft: this argument does not convert to the type of the function's parameter
#include <weft/function.hpp>

int inc(int x) { return x + 1; }
auto bytes = weft::detail::Call<inc>::encode("one");

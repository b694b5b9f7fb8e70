// expect: weft: a floating value does not fit an integer parameter
#include <weft/function.hpp>

int inc(int x) { return x + 1; }
auto bytes = weft::detail::Call<inc>::encode(1.5);

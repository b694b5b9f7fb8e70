// expect: weft: a pointer means nothing in another process
#include <weft/function.hpp>

int f(const char* text) { return *text; }
auto bytes = weft::detail::Call<f>::encode("x");

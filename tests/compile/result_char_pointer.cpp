// expect: weft: a pointer means nothing in another process
#include <weft/function.hpp>

const char* f() { return "x"; }
auto bytes = weft::detail::Call<f>::encode();

// expect: weft: wrong number of arguments for this function
#include <weft/function.hpp>

int add(int a, int b) { return a + b; }
auto bytes = weft::detail::Call<add>::encode(1);

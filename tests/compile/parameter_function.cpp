// expect: weft: a function cannot travel as a value
#include <weft/function.hpp>

int f(std::function<int(int)> g) { return g(1); }
auto bytes = weft::detail::Call<f>::encode([](int x) { return x; });

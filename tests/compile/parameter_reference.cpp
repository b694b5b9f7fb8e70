// expect: weft: a function that changes its argument changes a copy in another process
#include <weft/function.hpp>

void f(std::vector<int>& values) { values.clear(); }
auto bytes = weft::detail::Call<f>::encode(std::vector<int>());

// expect: weft: a smart pointer owns memory of this process
#include <weft/function.hpp>

int f(std::unique_ptr<int> x) { return *x; }
auto bytes = weft::detail::Call<f>::encode(nullptr);

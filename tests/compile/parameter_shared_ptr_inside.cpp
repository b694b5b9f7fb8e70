// expect: weft: a smart pointer owns memory of this process
// names: shared_ptr<int>
#include <weft/function.hpp>

int f(std::vector<std::shared_ptr<int>> x) { return *x[0]; }
auto bytes = weft::detail::Call<f>::encode(std::vector<std::shared_ptr<int>>());

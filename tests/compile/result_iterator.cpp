// expect: weft: a view or an iterator points to memory of this process
#include <weft/function.hpp>

std::vector<int>::iterator f() { return {}; }
auto bytes = weft::detail::Call<f>::encode();

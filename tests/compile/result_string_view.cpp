// expect: weft: a view or an iterator points to memory of this process
#include <weft/function.hpp>

std::string_view f() { return "x"; }
auto bytes = weft::detail::Call<f>::encode();

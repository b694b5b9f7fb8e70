// expect: weft: a Future cannot travel: pass its result()
#include <weft/function.hpp>

namespace weft {
template <class R>
class Future {};
}  // namespace weft
int f(weft::Future<int>) { return 1; }
auto bytes = weft::detail::Call<f>::encode(weft::Future<int>());

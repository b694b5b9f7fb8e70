// expect: weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part
// names: Silent
#include <weft/function.hpp>

class Silent {
  int x = 0;
};
auto text = weft::detail::NamedCall<int, Silent>::signature();

// expect: weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part
#include <weft/function.hpp>

struct Silent {
  int x;
};
auto text = weft::detail::NamedCall<int, Silent>::signature();

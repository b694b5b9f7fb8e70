// expect: weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part
#include <weft/function.hpp>

struct Silent {
  int x;
};
struct Node {
  Silent inner;
  MSGPACK_DEFINE(inner)
};
auto bytes = weft::detail::encode(Node());

// expect: weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part
// names: Silent
#include <weft/function.hpp>

class Silent {
  int x = 0;
};
struct Node {
  std::map<std::string, std::vector<Silent>> inner;
  MSGPACK_DEFINE(inner)
};
auto bytes = weft::detail::encode(Node());

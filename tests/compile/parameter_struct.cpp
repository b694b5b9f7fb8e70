// expect: weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part
// names: Silent
#include <weft/function.hpp>

class Silent {
  int x = 0;
};
int f(std::map<std::string, Silent> x) { return static_cast<int>(x.size()); }
auto bytes = weft::detail::Call<f>::encode(std::map<std::string, Silent>());

// expect: weft: this struct cannot travel yet: add MSGPACK_DEFINE(members...) to its public part
#include <weft/function.hpp>

struct Silent {
  int x;
};
int f(std::map<std::string, Silent> x) { return static_cast<int>(x.size()); }
auto bytes = weft::detail::Call<f>::encode(std::map<std::string, Silent>());

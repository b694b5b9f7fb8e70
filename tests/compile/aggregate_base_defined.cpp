// expect: weft: this struct has MSGPACK_DEFINE from its base alone
// names: Derived
#include <weft/function.hpp>

struct Base {
  int id = 0;
  MSGPACK_DEFINE(id)
};
struct Derived : Base {
  std::string text;
};
int f(Derived value) { return value.id; }
auto bytes = weft::detail::Call<f>::encode(Derived());

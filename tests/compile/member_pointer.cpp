// expect: weft: a pointer means nothing in another process
// names: const char
#include <weft/function.hpp>

struct Node {
  const char* text = "";
  MSGPACK_DEFINE(text)
};
auto bytes = weft::detail::encode(Node());

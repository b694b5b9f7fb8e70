// expect: weft: a view or an iterator points to memory of this process
#include <weft/function.hpp>

struct Node {
  std::string_view text;
  MSGPACK_DEFINE(text)
};
auto bytes = weft::detail::encode(std::vector<Node>());

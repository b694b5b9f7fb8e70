// expect: weft: a pointer means nothing in another process
// names: Node
#include <weft/function.hpp>

struct Node {
  int value;
  Node* next;
};
int f(std::map<std::string, Node> nodes) { return static_cast<int>(nodes.size()); }
auto bytes = weft::detail::Call<f>::encode(std::map<std::string, Node>());

// expect: weft: a member of this struct is a reference
// names: View
#include <weft/function.hpp>

struct View {
  const int& value;
};
int f(View view) { return view.value; }
const int seven = 7;
auto bytes = weft::detail::Call<f>::encode(View{seven});

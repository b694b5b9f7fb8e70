// expect: weft: this struct has an array beside a member without a default constructor
// names: Sample
#include <weft/function.hpp>

class Celsius {
 public:
  explicit Celsius(double degrees) : degrees_(degrees) {}
  double degrees() const { return degrees_; }

 private:
  double degrees_;
};
template <>
struct weft::adaptor<Celsius> {
  static double to_wire(const Celsius& value) { return value.degrees(); }
  static Celsius from_wire(double value) { return Celsius(value); }
};
struct Sample {
  Celsius temperature;
  int counts[3];
};
int f(Sample sample) { return sample.counts[0]; }
auto bytes = weft::detail::Call<f>::encode(Sample{Celsius(1), {1, 2, 3}});

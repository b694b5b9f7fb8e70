// expect: success
// Every name that programs rely on.
#include <weft/weft.hpp>

#include <list>
#include <ranges>
#include <string>
#include <vector>

long inc(long x) { return x + 1; }
int quick(int x) noexcept { return x; }
double area(double width, double height) { return width * height; }
void nothing() {}
int pick(int);
int pick(double);
struct Shop {
  static int price(int n) { return n; }
};

/// A type with an adaptor, without a default constructor and assignment.
class Celsius {
 public:
  explicit Celsius(double degrees) : degrees_(degrees) {}
  double degrees() const { return degrees_; }

 private:
  const double degrees_;
};
template <>
struct weft::adaptor<Celsius> {
  static double to_wire(const Celsius& celsius) { return celsius.degrees(); }
  static Celsius from_wire(double degrees) { return Celsius(degrees); }
};
struct Reading {
  Celsius temperature;
  std::string place;
};
Reading measure(Celsius temperature, Reading) { return {temperature, "here"}; }

void others(weft::Client& client) {
  weft::Future<Reading> a = client.submit<measure>(Celsius(1), Reading{Celsius(2), "there"});
  std::vector<weft::Future<Reading>> b =
      client.map<measure>(std::vector<Celsius>{Celsius(1)}, weft::same(Reading{Celsius(2), "there"}));
  double sum = a.result().temperature.degrees() + client.gather(b)[0].temperature.degrees();
  std::vector<weft::Outcome<Reading>> outcomes = client.gather(b, weft::outcomes);
  if (outcomes[0].ok()) sum += outcomes[0].value().temperature.degrees();
  for (auto& done : weft::as_completed(b)) sum += std::move(done).result().temperature.degrees();
  b = client.attach<Reading>("label");
  if (std::optional<Reading> soon = a.result_for(std::chrono::milliseconds(1)))
    sum += soon->temperature.degrees();
  a = client.call<Reading>("measure", Celsius(sum), Reading{Celsius(sum), "there"});
}

void submits(weft::Client& client) {
  weft::Future<long> a = client.submit<inc>(1);
  weft::Future<int> b = client.submit<quick>(2);
  weft::Future<int> c = client.submit<&Shop::price>(3);
  weft::Future<void> d = client.submit<nothing>();
  weft::Future<int> e = client.submit([](int x) { return x; }, 4);
  weft::Future<int> f = client.submit<static_cast<int (*)(int)>(pick)>(5);
  weft::Future<double> g = client.call<double>("area", 1.0, std::string("m"), "literal");
  weft::Future<weft::CommandResult> h = client.command({"echo", "hello"}, "input");
  auto view = client.with({.priority = 1, .retries = 2, .timeout = std::chrono::seconds(1), .label = "x"});
  weft::Future<long> i = view.submit<inc>(1);
  std::vector<weft::Future<long>> j = view.map<inc>(std::views::iota(0L, 9L));
  weft::Future<int> k = view.call<int>("name");
  weft::Future<weft::CommandResult> l = view.command({"true"});
}

void maps(weft::Client& client) {
  std::list<double> widths{1, 2};
  const std::vector<double> heights{3, 4};
  std::vector<weft::Future<double>> areas = client.map<area>(widths, heights);
  areas = client.map<area>(widths, weft::same(2.0));
  areas = client.map<area>(widths | std::views::transform([](double x) { return 2 * x; }), heights);
  areas = client.map([](double x, double y) { return x + y; }, widths, heights);
  std::vector<double> values = client.gather(weft::progress(areas));
  std::vector<weft::Outcome<double>> outcomes = client.gather(areas, weft::outcomes);
  if (outcomes[0].ok()) values.push_back(outcomes[0].value());
  for (weft::Future<double>& done : weft::as_completed(areas)) values.push_back(std::move(done).result());
  for (auto& done : weft::as_completed(areas | std::views::take(1)))
    values.push_back(std::as_const(done).result());
  weft::Waited<double> waited = weft::wait(areas, std::chrono::seconds(1));
  waited = weft::wait_any(areas);
  weft::Future<double> same = weft::progress(areas[0]);
  client.gather(std::vector<weft::Future<void>>{});
}

void futures(weft::Future<long> future, weft::Future<void> empty) {
  const long& value = future.result();
  long moved = std::move(future).result() + value;
  std::optional<long> soon = future.result_for(std::chrono::milliseconds(moved));
  future.wait();
  bool done = future.wait_for(std::chrono::milliseconds(1)) || future.done() || soon.has_value();
  weft::TaskState state = future.state();
  std::optional<weft::TaskError> error = future.error();
  if (error && state == weft::TaskState::failed && done) error->rethrow();
  future.cancel();
  future.on_done([](weft::Future<long> it) { it.wait(); });
  weft::TaskId id = future.id();
  empty.result();
  std::move(empty).result();
  empty.on_done([id](const weft::Future<void>&) { static_cast<void>(id.text()); });
}

int main() {
  weft::Client client;
  weft::Client other(weft::ClientOptions{.address = "host:1", .name = "n"});
  weft::ClusterInfo info = client.cluster();
  submits(client);
  maps(client);
  others(client);
  return static_cast<int>(info.slots);
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <atomic>
#include <memory>

#include "weft/function.hpp"

using namespace weft::detail;

namespace function_test {

long inc(long x) { return x + 1; }
static int twice(int x) noexcept { return 2 * x; }
struct Tools {
  static double half(double x) { return x / 2; }
};
int all_changed = 0;
void remember(int value) { all_changed = value; }
std::string join(std::string_view a, const std::string& b, std::span<const int> numbers, std::string&& c) {
  return std::string(a) + b + std::to_string(numbers.size()) + std::move(c);
}
const std::string& longer(const std::string& a, const std::string& b) { return a.size() > b.size() ? a : b; }
signed char narrow(signed char x) { return x; }
bool negate(bool x) { return !x; }
std::size_t count(std::vector<double> values) { return values.size(); }
std::optional<int> maybe(std::optional<int> x) { return x; }
template <class T>
T largest(T a, T b) {
  return a > b ? a : b;
}
int overloaded(int) { return 1; }
int overloaded(double) { return 2; }
enum Plain { first, second };
int never_called(int) { return 0; }

template <class C, class... A>
auto call(A&&... arguments) {
  return decode_result<typename C::Result>(C::invoke(C::encode(std::forward<A>(arguments)...)));
}
template <class C, class... A>
std::string refusal(A&&... arguments) {
  try {
    C::encode(std::forward<A>(arguments)...);
    return "";
  } catch (const std::out_of_range& error) {
    return error.what();
  }
}

}  // namespace function_test

using namespace function_test;

namespace {

/// doctest would copy a ByteBuffer.
bool are_equal(const weft::detail::ByteBuffer& one, const weft::detail::ByteBuffer& other) {
  return one == other;
}

}  // namespace

TEST_SUITE("function") {
  TEST_CASE("free, static, noexcept and template functions are called with what was passed") {
    CHECK(call<Call<inc>>(41L) == 42);
    CHECK(call<Call<twice>>(4) == 8);
    CHECK(call<Call<Tools::half>>(3) == 1.5);
    CHECK(call<Call<largest<int>>>(3, 4) == 4);
    CHECK(call<Call<static_cast<int (*)(double)>(overloaded)>>(1.0) == 2);
    call<Call<remember>>(7);
    CHECK(all_changed == 7);
  }

  TEST_CASE("lambdas without captures are called") {
    const auto add = [](long a, const std::vector<long>& b) { return a + static_cast<long>(b.size()); };
    using C = LambdaCall<decltype(add)>;
    CHECK(C::signature() == "long(long,std::vector<long>)");
    CHECK(call<LambdaCall<std::remove_const_t<decltype(add)>>>(1, std::vector<long>{5, 6}) == 3);
  }

  TEST_CASE("parameters may be values, const and rvalue references and views; results are copied") {
    CHECK(call<Call<join>>("a", "b", std::vector{1, 2}, "c") == "ab2c");
    CHECK(call<Call<join>>(std::string_view("a"), std::string("b"), std::vector<int>{}, std::string("c")) ==
          "ab0c");
    CHECK(call<Call<longer>>("a", "bb") == "bb");
    CHECK(std::is_same_v<Call<longer>::Result, std::string>);
    CHECK(std::is_same_v<Call<join>::Parameters,
                         std::tuple<std::string, std::string, std::vector<int>, std::string>>);
  }

  TEST_CASE("arguments are converted to the parameter's type on the client") {
    CHECK(are_equal(Call<inc>::encode(1), Call<inc>::encode(1L)));
    CHECK(are_equal(Call<inc>::encode(static_cast<unsigned char>(1)), Call<inc>::encode(1L)));
    CHECK(are_equal(Call<Tools::half>::encode(1), Call<Tools::half>::encode(1.0)));
    CHECK(call<Call<inc>>(second) == 2);
    CHECK(call<Call<negate>>(5) == false);
    CHECK(call<Call<count>>(std::initializer_list<double>{1, 2}) == 2);
    CHECK(call<Call<maybe>>(5) == 5);
    CHECK(call<Call<maybe>>(std::nullopt) == std::nullopt);
  }

  TEST_CASE("an integer that does not fit throws at the call and says so") {
    CHECK(refusal<Call<narrow>>(300) == "argument 1: 300 does not fit signed char");
    CHECK(refusal<Call<narrow>>(-129) == "argument 1: -129 does not fit signed char");
    CHECK(refusal<Call<narrow>>(127) == "");
    CHECK(refusal<Call<inc>>(UINT64_MAX) == "argument 1: 18446744073709551615 does not fit long");
    CHECK(refusal<Call<largest<unsigned>>>(1, -1) == "argument 2: -1 does not fit unsigned int");
    CHECK(refusal<Call<maybe>>(std::int64_t{1} << 40) == "argument 1: 1099511627776 does not fit int");
  }

  TEST_CASE("a large argument that is not converted is not copied either") {
    // An lvalue must stay as it is: neither moved-from nor copied.
    const std::vector<double> values(1000, 1.0);
    CHECK(call<Call<count>>(values) == 1000);
    CHECK(std::is_same_v<decltype(convert_argument<std::vector<double>>(values, 1)),
                         const std::vector<double>&>);
  }

  TEST_CASE("bytes that are not the arguments are an error, not a call") {
    CHECK_THROWS_AS(Call<inc>::invoke(encode(std::tuple(1, 2))), weft::Error);
    CHECK_THROWS_AS(Call<inc>::invoke(encode(std::tuple(std::string("a")))), weft::Error);
    CHECK_THROWS_AS(Call<inc>::invoke(""), weft::Error);
  }

  TEST_CASE("a named function is in the table once, without being called") {
    const auto index = function_index<never_called>();
    CHECK(index == function_index<never_called>());
    const auto table = registered_functions();
    REQUIRE(index < table.size());
    CHECK(table[index].name() == "function_test::never_called");
    CHECK(table[index].signature() == "int(int)");
  }

  TEST_CASE("two lambdas and two functions of one name are different entries") {
    const auto one = [](int x) { return x + 1; };
    const auto two = [](int x) { return x + 2; };
    const auto first_index = function_index<std::remove_const_t<decltype(one)>>();
    const auto second_index = function_index<std::remove_const_t<decltype(two)>>();
    CHECK(first_index != second_index);
    const auto table = registered_functions();
    CHECK(decode<int>(table[first_index].invoke(encode(std::tuple(1)))) == 2);
    CHECK(decode<int>(table[second_index].invoke(encode(std::tuple(1)))) == 3);
  }

  TEST_CASE("a call by name takes arguments as they are, and literals as text") {
    using C = NamedCall<long, int, const char(&)[3], std::string_view, std::vector<double>&>;
    CHECK(C::signature() == "long(int,std::string,std::string,std::vector<double>)");
    std::vector<double> numbers{1};
    CHECK(are_equal(C::encode(1, "ab", std::string_view("c"), numbers),
                    encode(std::tuple(1, std::string("ab"), std::string("c"), numbers))));
  }
}

// SPDX-License-Identifier: MIT
// msgpack-c without Boost, and the adaptors that it lacks. MSGPACK_DEFINE generates a msgpack_unpack() that
// must compile for every member, so an enum, a std::variant or a duration in a struct needs an adaptor,
// although Weft reads and writes structs itself (value_writer.hpp, value_reader.hpp). The adaptors also make
// such a struct usable with plain msgpack. Existing adaptors of msgpack-c are not replaced, since files of a
// program with and without this header must agree (one-definition rule). Other classes that msgpack-c cannot
// convert use Weft's own reader and writer (serialise.hpp), which also explain in a sentence why a class
// cannot be sent.
#pragma once

#ifndef MSGPACK_NO_BOOST
#define MSGPACK_NO_BOOST
#endif
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <type_traits>
#include <utility>
#include <variant>

namespace weft::detail {

/// Classes for which msgpack-c has no adaptor, unless a more specialised one exists.
template <class T>
concept NotConverted = std::is_union_v<T> ||
    (std::is_class_v<T> &&
     !requires(T & value, const msgpack::object& o) { value.msgpack_unpack(o.convert()); });
template <class T>
concept NotPacked =
    std::is_class_v<T> && !requires(const T& value, msgpack::packer<msgpack::sbuffer>& packer) {
  value.msgpack_pack(packer);
};

template <class T>
T convert_object(const msgpack::object& object);
template <class T>
void replace_by_object(const msgpack::object& object, T& value);
template <class Stream, class T>
void pack_value(msgpack::packer<Stream>& packer, const T& value);

}  // namespace weft::detail

namespace msgpack {
// In the oldest version of msgpack-c's interface, which contains its own adaptors: these are more specialised
// and take precedence.
MSGPACK_API_VERSION_NAMESPACE(v1) {
  namespace adaptor {

  template <weft::detail::NotConverted T>
  struct convert<T> {
    msgpack::object const& operator()(msgpack::object const& o, T& v) const {
      weft::detail::replace_by_object(o, v);
      return o;
    }
  };
  template <weft::detail::NotPacked T>
  struct pack<T> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& o, const T& v) const {
      weft::detail::pack_value(o, v);
      return o;
    }
  };
  // Where msgpack-c would need a default constructor. (Pointers are rejected here.)
  template <class T>
  requires(std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
           (weft::detail::NotConverted<T> && !std::default_initializable<T>)) struct as<T> {
    T operator()(msgpack::object const& o) const { return weft::detail::convert_object<T>(o); }
  };
  }  // namespace adaptor
}

MSGPACK_API_VERSION_NAMESPACE(MSGPACK_DEFAULT_API_NS) {
  namespace adaptor {

  // Enums, as their number. (A MSGPACK_ADD_ENUM in the program is more specialised and takes precedence.)
  template <class E>
  struct convert<E, std::enable_if_t<std::is_enum_v<E>>> {
    msgpack::object const& operator()(msgpack::object const& o, E& v) const {
      v = static_cast<E>(o.as<std::underlying_type_t<E>>());
      return o;
    }
  };
  template <class E>
  struct pack<E, std::enable_if_t<std::is_enum_v<E>>> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& o, const E& v) const {
      return o.pack(static_cast<std::underlying_type_t<E>>(v));
    }
  };

  // Number types that msgpack-c does not know, as the next larger type that it knows.
  template <class T, class As>
  struct convert_as {
    msgpack::object const& operator()(msgpack::object const& o, T& v) const {
      v = static_cast<T>(o.as<As>());
      return o;
    }
  };
  template <class T, class As>
  struct pack_as {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& o, const T& v) const {
      return o.pack(static_cast<As>(v));
    }
  };
  template <>
  struct convert<long double> : convert_as<long double, double> {};
  template <>
  struct pack<long double> : pack_as<long double, double> {};
  template <>
  struct convert<char8_t> : convert_as<char8_t, std::uint8_t> {};
  template <>
  struct pack<char8_t> : pack_as<char8_t, std::uint8_t> {};
  template <>
  struct convert<char16_t> : convert_as<char16_t, std::uint16_t> {};
  template <>
  struct pack<char16_t> : pack_as<char16_t, std::uint16_t> {};
  template <>
  struct convert<char32_t> : convert_as<char32_t, std::uint32_t> {};
  template <>
  struct pack<char32_t> : pack_as<char32_t, std::uint32_t> {};

  template <class Rep, class Period>
  struct convert<std::chrono::duration<Rep, Period>> {
    msgpack::object const& operator()(msgpack::object const& o, std::chrono::duration<Rep, Period>& v) const {
      v = std::chrono::duration<Rep, Period>(o.as<Rep>());
      return o;
    }
  };
  template <class Rep, class Period>
  struct pack<std::chrono::duration<Rep, Period>> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& o,
                                        const std::chrono::duration<Rep, Period>& v) const {
      return o.pack(v.count());
    }
  };

  template <class D>
  struct convert<std::chrono::time_point<std::chrono::system_clock, D>> {
    msgpack::object const& operator()(msgpack::object const& o,
                                      std::chrono::time_point<std::chrono::system_clock, D>& v) const {
      v = std::chrono::time_point<std::chrono::system_clock, D>(D(o.as<typename D::rep>()));
      return o;
    }
  };
  template <class D>
  struct pack<std::chrono::time_point<std::chrono::system_clock, D>> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(
        msgpack::packer<Stream>& o, const std::chrono::time_point<std::chrono::system_clock, D>& v) const {
      return o.pack(v.time_since_epoch().count());
    }
  };

#if !__has_include("msgpack/v1/adaptor/cpp17/variant.hpp")
  template <>
  struct convert<std::monostate> {
    msgpack::object const& operator()(msgpack::object const& o, std::monostate&) const {
      if (!o.is_nil()) throw msgpack::type_error();
      return o;
    }
  };
  template <>
  struct pack<std::monostate> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& o, const std::monostate&) const {
      return o.pack_nil();
    }
  };

  // A variant: [index, value].
  template <class... Ts>
  struct convert<std::variant<Ts...>> {
    msgpack::object const& operator()(msgpack::object const& o, std::variant<Ts...>& v) const {
      if (o.type != msgpack::type::ARRAY || o.via.array.size != 2) throw msgpack::type_error();
      const auto index = o.via.array.ptr[0].as<std::size_t>();
      if (index >= sizeof...(Ts)) throw msgpack::type_error();
      fill(o.via.array.ptr[1], v, index, std::index_sequence_for<Ts...>{});
      return o;
    }

   private:
    template <std::size_t... I>
    static void fill(msgpack::object const& o, std::variant<Ts...>& v, std::size_t index,
                     std::index_sequence<I...>) {
      ((I == index ? static_cast<void>(o.convert(v.template emplace<I>())) : void()), ...);
    }
  };
  template <class... Ts>
  struct pack<std::variant<Ts...>> {
    template <class Stream>
    msgpack::packer<Stream>& operator()(msgpack::packer<Stream>& o, const std::variant<Ts...>& v) const {
      o.pack_array(2).pack(v.index());
      std::visit([&o](const auto& value) { o.pack(value); }, v);
      return o;
    }
  };
#endif

  }  // namespace adaptor
}
}  // namespace msgpack

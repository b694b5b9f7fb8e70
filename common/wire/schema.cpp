// SPDX-License-Identifier: MIT
#include "common/wire/schema.hpp"

#include <fmt/format.h>

#include <cctype>

#include "common/wire/record_codec.hpp"

namespace weft::wire {

namespace {

using Json = nlohmann::ordered_json;

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// ---- values ----

template <class T>
Json json_of(const T& value);

Json json_of_payload(const Payload& payload) {
  if (!payload.is_blob()) return hex_of(payload.inline_bytes());
  const BlobRef ref = payload.blob();
  return Json::array({json_of(ref.holder), json_of(ref.id), ref.size});
}

template <class E>
std::string enumerator_name(E value) {
  const auto number = static_cast<std::size_t>(value);
  return std::string(number < known_values<E>() ? Enumeration<E>::values[number].name : "unknown");
}

template <class T>
Json json_of(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return enumerator_name(value);
  } else if constexpr (kIsId<T>) {
    return value.text();
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return hex_of(value.view());
  } else if constexpr (std::is_same_v<T, Payload>) {
    return json_of_payload(value);
  } else if constexpr (HasLayout<T>) {
    Json out = Json::object();
    for_each_description<T>(
        [&](const auto& field) { out[std::string(field.name)] = json_of(value.*field.member); });
    return out;
  } else if constexpr (kIsVector<T>) {
    Json out = Json::array();
    for (const auto& element : value) out.push_back(json_of(element));
    return out;
  } else {
    return value;
  }
}

// ---- types ----

template <class T>
std::string type_text() {
  if constexpr (std::is_enum_v<T>) {
    return std::string(Enumeration<T>::name);
  } else if constexpr (kIsId<T>) {
    return fmt::format("bin {}", sizeof(T));
  } else if constexpr (std::is_same_v<T, Bytes>) {
    return "bin";
  } else if constexpr (std::is_same_v<T, Payload>) {
    return "payload";
  } else if constexpr (HasLayout<T>) {
    return std::string(Layout<T>::name);
  } else if constexpr (kIsVector<T>) {
    return "array of " + type_text<typename T::value_type>();
  } else if constexpr (std::is_same_v<T, Amounts>) {
    return "map of str to float";
  } else if constexpr (std::is_same_v<T, Texts>) {
    return "map of str to str";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "str";
  } else if constexpr (std::is_same_v<T, bool>) {
    return "bool";
  } else {
    return fmt::format("{}{}", std::is_signed_v<T> ? "i" : "u", 8 * sizeof(T));
  }
}

template <class Field>
std::string_view weight_text(const Field& field) {
  if (!field.is_optional) return "required";
  if (field.since == 0) return "optional";
  return field.weight == Weight::essential ? "essential" : "ignorable";
}

template <class T>
Json fields_json() {
  Json out = Json::array();
  for_each_description<T>([&](const auto& field) {
    using F = typename std::remove_cvref_t<decltype(field)>::Type;
    Json entry{{"name", std::string(field.name)},
               {"type", type_text<F>()},
               {"unit", std::string(field.unit)},
               {"since", fmt::format("{}.{}", kMajor, field.since)},
               {"weight", std::string(weight_text(field))}};
    if (field.is_optional) entry["default"] = json_of(defaults<T>().*field.member);
    entry["meaning"] = std::string(field.meaning);
    out.push_back(std::move(entry));
  });
  return out;
}

// ---- everything ----

template <class F, std::size_t... I>
void for_each_message(F&& f, std::index_sequence<I...>) {
  (f.template operator()<std::variant_alternative_t<I, AnyMessage>>(I + 1), ...);
}
template <class F>
void for_each_message(F&& f) {
  for_each_message(std::forward<F>(f), std::make_index_sequence<std::variant_size_v<AnyMessage>>{});
}

/// Types that occur inside messages and their records.
template <class F>
void for_each_part(F&& f) {
  f.template operator()<TaskSpec>();
  f.template operator()<FileRef>();
  f.template operator()<Attempt>();
  f.template operator()<ErrorInfo>();
  f.template operator()<WorkerStatus>();
  f.template operator()<ClientStatus>();
  f.template operator()<WaitingStatus>();
}
template <class F>
void for_each_enumeration(F&& f) {
  f.template operator()<TaskKind>();
  f.template operator()<Outcome>();
  f.template operator()<RefuseCode>();
  f.template operator()<DeliveryKind>();
  f.template operator()<RevokeMode>();
  f.template operator()<ClaimState>();
}

template <class M>
using RecordOf = typename std::remove_cvref_t<decltype(std::declval<M&>().*Layout<M>::records)>::value_type;

template <class T>
std::string_view notes() {
  if constexpr (Closed<T>) return "It never grows.\n\n";
  if constexpr (Forwarded<T>) return "It is forwarded with its tail.\n\n";
  return "";
}

std::string table_of(const Json& fields) {
  std::string out = "| field | type | unit | default | since | | meaning |\n|---|---|---|---|---|---|---|\n";
  for (const Json& field : fields) {
    const auto text = [&](const char* key) { return field[key].get<std::string>(); };
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", text("name"), text("type"), text("unit"),
                       field.contains("default") ? "`" + field["default"].dump() + "`" : "", text("since"),
                       text("weight"), text("meaning"));
  }
  return out;
}

}  // namespace

std::string message_name(std::string_view type) {
  std::string out;
  for (const char c : type) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !out.empty()) out += '_';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

Json to_json(const Message& message) {
  return std::visit(
      []<class M>(const M& m) {
        Json out = json_of(m);
        if constexpr (Batch<M>) out["records"] = json_of(m.*Layout<M>::records);
        return out;
      },
      message);
}

Json schema_json() {
  Json out{{"major", kMajor},
           {"minor", kMinor},
           {"messages", Json::array()},
           {"records", Json::array()},
           {"enumerations", Json::array()}};
  for_each_message([&]<class M>(std::size_t type) {
    Json entry{{"type", type}, {"name", message_name(Layout<M>::name)}, {"fields", fields_json<M>()}};
    if constexpr (Batch<M>) {
      entry["records"] = {{"name", std::string(Layout<RecordOf<M>>::name)},
                          {"forwarded", Forwarded<RecordOf<M>>},
                          {"fields", fields_json<RecordOf<M>>()}};
    }
    out["messages"].push_back(std::move(entry));
  });
  for_each_part([&]<class T>() {
    out["records"].push_back({{"name", std::string(Layout<T>::name)},
                              {"forwarded", Forwarded<T>},
                              {"closed", Closed<T>},
                              {"fields", fields_json<T>()}});
  });
  for_each_enumeration([&]<class E>() {
    Json values = Json::array();
    for (std::size_t i = 0; i < known_values<E>(); ++i) {
      const Enumerator& value = Enumeration<E>::values[i];
      values.push_back(
          {{"value", i}, {"name", std::string(value.name)}, {"meaning", std::string(value.meaning)}});
    }
    out["enumerations"].push_back({{"name", std::string(Enumeration<E>::name)}, {"values", values}});
  });
  return out;
}

std::string schema_markdown() {
  std::string out;
  for_each_message([&]<class M>(std::size_t type) {
    out += fmt::format("\n#### {} {}\n\n", type, message_name(Layout<M>::name));
    if constexpr (kFieldCount < M >> 0) {
      out += table_of(fields_json<M>());
    } else {
      out += Batch<M> ? "The head is an empty array.\n" : "The body is an empty array.\n";
    }
    if constexpr (Batch<M>) {
      out += fmt::format("\nThen any number of {}{}:\n\n", Layout<RecordOf<M>>::name,
                         Forwarded<RecordOf<M>> ? ", which are forwarded with their tails" : "");
      out += table_of(fields_json<RecordOf<M>>());
    }
  });
  for_each_part([&]<class T>() {
    out += fmt::format("\n#### {}\n\n", Layout<T>::name);
    out += notes<T>();
    out += table_of(fields_json<T>());
  });
  for_each_enumeration([&]<class E>() {
    out += fmt::format("\n#### {} (u8)\n\n| value | name | meaning |\n|---|---|---|\n", Enumeration<E>::name);
    for (std::size_t i = 0; i < known_values<E>(); ++i) {
      const Enumerator& value = Enumeration<E>::values[i];
      out += fmt::format("| {} | {} | {} |\n", i, value.name, value.meaning);
    }
  });
  return out + "\n";
}

}  // namespace weft::wire

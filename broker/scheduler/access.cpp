// SPDX-License-Identifier: MIT
#include "broker/scheduler/access.hpp"

#include <fmt/format.h>

#include <array>
#include <type_traits>
#include <utility>
#include <vector>

#include "broker/scheduler/senders.hpp"
#include "common/wire/codec.hpp"

namespace weft::broker {

namespace {

/// The table: which roles may send a message of type M.
template <class M>
constexpr Roles senders_of() {
  Roles roles{Role::admin};
  if (ClientMessages::has<M> || std::is_same_v<M, wire::HelloClient>) roles = roles | Roles{Role::client};
  if (WorkerMessages::has<M> || std::is_same_v<M, wire::HelloWorker>) roles = roles | Roles{Role::worker};
  if (std::is_same_v<M, wire::StatusRequest> || std::is_same_v<M, wire::Why>) roles = kEveryRole;
  if (std::is_same_v<M, wire::Find>) roles = roles | Roles{Role::client, Role::observer};
  // DRAIN_WORKER stays with admins alone. Messages that only brokers send are refused later, by the dispatch
  // of the role, with a better reason.
  if (BrokerMessages::has<M>) roles = kEveryRole;
  return roles;
}

template <std::size_t... I>
constexpr std::array<Roles, sizeof...(I)> table(std::index_sequence<I...>) {
  return {senders_of<std::variant_alternative_t<I, wire::AnyMessage>>()...};
}

constexpr auto kMaySend = table(std::make_index_sequence<std::variant_size_v<wire::AnyMessage>>{});

std::string text_of(Roles roles) {
  std::vector<std::string_view> names;
  if (roles.has(Role::client)) names.push_back("client");
  if (roles.has(Role::worker)) names.push_back("worker");
  if (roles.has(Role::observer)) names.push_back("observer");
  if (roles.has(Role::admin)) names.push_back("admin");
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

const Identity& identity_of(const IdentityPtr& identity) {
  static const Identity anonymous;
  return identity != nullptr ? *identity : anonymous;
}

bool may_send(Roles roles, const wire::Message& message) {
  return roles.intersects(kMaySend[message.index()]);
}

std::string why_not(const Identity& identity, const wire::Message& message) {
  return fmt::format("identity '{}' may not send {}: it needs the role {}, and has {}", identity.name,
                     wire::describe(message), text_of(kMaySend[message.index()]), text_of(identity.roles));
}

}  // namespace weft::broker

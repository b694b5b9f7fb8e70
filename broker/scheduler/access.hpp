// SPDX-License-Identifier: MIT
// Who opened a connection, and what that allows. A connection has an identity (a name and roles), which the
// shell passes with each message; without keys every peer is anonymous and may do everything. One table says
// which role may send which message, and is checked before a message is dispatched. Sessions, detached tasks
// and names of workers are owned by the name of the identity that made them, not by a connection or a key.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "common/wire/messages.hpp"

namespace weft::broker {

enum class Role : std::uint8_t {
  client,    // submits tasks
  worker,    // executes them
  observer,  // asks what is going on
  admin,     // may do all that the others may, to what any identity owns
};

/// A set of roles.
class Roles {
 public:
  constexpr Roles() = default;
  constexpr Roles(std::initializer_list<Role> roles) {
    for (const Role role : roles) bits_ |= bit(role);
  }
  constexpr bool has(Role role) const { return (bits_ & bit(role)) != 0; }
  constexpr bool intersects(Roles other) const { return (bits_ & other.bits_) != 0; }
  constexpr Roles operator|(Roles other) const {
    return Roles(static_cast<std::uint8_t>(bits_ | other.bits_));
  }
  bool operator==(const Roles&) const = default;

 private:
  constexpr explicit Roles(std::uint8_t bits) : bits_(bits) {}
  static constexpr std::uint8_t bit(Role role) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(role));
  }
  std::uint8_t bits_ = 0;
};

inline constexpr Roles kEveryRole{Role::client, Role::worker, Role::observer, Role::admin};

struct Identity {
  std::string name;  // "": anonymous
  Roles roles = kEveryRole;

  /// Whether this identity may use what `owner` (the name of an identity) has made.
  bool may_use(const std::string& owner) const { return name == owner || roles.has(Role::admin); }
};

/// nullptr: anonymous. The identity of a connection never changes.
using IdentityPtr = std::shared_ptr<const Identity>;

/// The identity behind the pointer; the anonymous one for nullptr.
const Identity& identity_of(const IdentityPtr& identity);

/// Whether the table allows an identity with these roles to send the message to a broker.
bool may_send(Roles roles, const wire::Message& message);

/// The error for an identity that may_send() refuses: "identity alice may not send DRAIN_WORKER: ...".
std::string why_not(const Identity& identity, const wire::Message& message);

}  // namespace weft::broker

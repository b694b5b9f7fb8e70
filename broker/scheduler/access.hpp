// SPDX-License-Identifier: MIT
// Access control: who opened a connection, and what that identity may do. A connection has an identity (a
// name and roles), which the shell passes with each message; without keys all peers are anonymous and may do
// everything. One table says which role may send which message, and is asked before a message is dispatched.
// A session with its detached tasks, and the name of a worker, are owned by the identity that made them, not
// by a connection or a key.
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
  observer,  // asks for status, and finds detached tasks
  admin,     // may do all that the others may, to the property of any identity
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

  /// Whether this identity may use sessions, tasks and worker names of `owner` (the name of an identity).
  bool may_use(const std::string& owner) const { return name == owner || roles.has(Role::admin); }
};

/// nullptr: anonymous. The identity of a connection never changes.
using IdentityPtr = std::shared_ptr<const Identity>;

/// The identity behind the pointer.
const Identity& identity_of(const IdentityPtr& identity);

/// Whether the table allows an identity with these roles to send the message to a broker.
bool may_send(Roles roles, const wire::Message& message);

/// The reason for refusing a message that may_send() does not allow, as a sentence for the peer.
std::string why_not(const Identity& identity, const wire::Message& message);

}  // namespace weft::broker

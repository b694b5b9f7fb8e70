// SPDX-License-Identifier: MIT
// Which peers may send which message to the broker. Each message of the protocol is in at least one of these
// lists, and each message of a list has a handler: a new message does not compile without both.
#pragma once

#include <cstdint>
#include <type_traits>
#include <variant>

#include "common/wire/messages.hpp"

namespace weft::broker {

template <class... Ms>
struct MessageList {
  template <class M>
  static constexpr bool has = (std::is_same_v<M, Ms> || ...);
};

/// The first message on a connection.
using Hellos = MessageList<wire::HelloClient, wire::HelloWorker>;

/// Any peer, at any time and without a HELLO: Questions::reply().
using QuestionMessages = MessageList<wire::StatusRequest, wire::Find, wire::DrainWorker, wire::Why>;

/// A client, after its HELLO: Scheduler::on(Session&, ...) or BlobTraffic::on().
using ClientMessages = MessageList<wire::Define, wire::Forget, wire::Submit, wire::Reannounce, wire::Synced,
                                   wire::Cancel, wire::Ack, wire::Fetched, wire::Get, wire::Data, wire::Gone,
                                   wire::Drop, wire::Heartbeat, wire::Goodbye>;

/// A worker, after its HELLO: Scheduler::on(Worker&, ...) or BlobTraffic::on().
using WorkerMessages =
    MessageList<wire::Claims, wire::Ready, wire::Results, wire::Started, wire::Returned, wire::Draining,
                wire::Get, wire::Data, wire::Gone, wire::Heartbeat, wire::Goodbye>;

/// Only a broker sends these messages. A peer that sends one is refused.
using BrokerMessages =
    MessageList<wire::Welcome, wire::Refuse, wire::Received, wire::Deliver, wire::Running, wire::DefineFor,
                wire::ForgetFor, wire::Assign, wire::Revoke, wire::Release, wire::Resend, wire::EndSession,
                wire::Status, wire::Journaled, wire::Found, wire::Answer, wire::Leave>;

namespace detail {

template <class... Ms>
consteval bool each_is_listed(const std::variant<Ms...>*) {
  return ((Hellos::has<Ms> || QuestionMessages::has<Ms> || ClientMessages::has<Ms> ||
           WorkerMessages::has<Ms> || BrokerMessages::has<Ms>)&&...);
}

/// A bit for each alternative of the variant, set if `List` has it.
template <class List, class... Ms>
consteval std::uint64_t bits_of(const std::variant<Ms...>*) {
  static_assert(sizeof...(Ms) <= 64);
  std::uint64_t bits = 0;
  std::uint64_t bit = 1;
  ((bits |= List::template has<Ms> ? bit : 0, bit <<= 1), ...);
  return bits;
}

inline constexpr const wire::AnyMessage* kAny = nullptr;

}  // namespace detail

static_assert(detail::each_is_listed(detail::kAny), "say here who may send the new message to a broker");

/// Whether `List` has the message.
template <class List>
bool is_in(const wire::Message& message) {
  constexpr std::uint64_t kBits = detail::bits_of<List>(detail::kAny);
  return (kBits >> message.index() & 1) != 0;
}

}  // namespace weft::broker

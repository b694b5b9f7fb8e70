// SPDX-License-Identifier: MIT
#include "client/status_query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "common/codec.hpp"
#include "common/link.hpp"
#include "weft/error.hpp"

namespace weft::client {

namespace {

using Clock = std::chrono::steady_clock;

/// The STATUS in what just happened, if it is that; `reason` says what went wrong else.
std::optional<wire::Status> status_in(Link& link, const Link::Event& event, bool details,
                                      std::string& reason) {
  if (std::holds_alternative<Link::Up>(event)) {
    reason = "it accepts connections but does not answer";
    link.send(wire::encode(wire::StatusRequest{.details = details}));
    return std::nullopt;
  }
  if (const auto* down = std::get_if<Link::Down>(&event)) {
    reason = down->reason;
    return std::nullopt;
  }
  const auto& frame = std::get<zmq::message_t>(event);
  const std::string_view text(frame.data<char>(), frame.size());
  if (auto mismatch = wire::version_mismatch(text)) throw ConnectionError(*mismatch);
  auto message = wire::decode(text);
  if (!message) {
    reason = "what it answers is not from a Weft broker: " + message.fault();
  } else if (auto* status = std::get_if<wire::Status>(&*message)) {
    return std::move(*status);
  } else if (auto* refuse = std::get_if<wire::Refuse>(&*message)) {
    reason = "refused: " + refuse->text;
  }
  return std::nullopt;
}

}  // namespace

wire::Status query_status(const std::string& address, bool details, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  zmq::context_t context;
  Link link(context);
  std::string reason = "no answer";
  link.open(address);
  for (;;) {
    bool lost = false;
    while (auto event = link.next()) {
      lost = std::holds_alternative<Link::Down>(*event);
      if (auto status = status_in(link, *event, details, reason)) return *status;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) break;
    auto items = link.poll_items();
    // A connection that failed is tried again, since a broker may be about to start.
    zmq::poll(items, lost ? std::min(left, std::chrono::milliseconds(100)) : left);
    if (lost) link.open(address);
  }
  throw ConnectionError(fmt::format("no broker answered at {} within {} s: {}", address,
                                    std::chrono::duration<double>(timeout).count(), reason));
}

}  // namespace weft::client

// SPDX-License-Identifier: MIT
#include "client/connection/query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "common/net/link.hpp"
#include "common/system/fd.hpp"
#include "common/wire/codec.hpp"
#include "weft/detail/duration.hpp"
#include "weft/error.hpp"

namespace weft::client {

namespace {

using Clock = std::chrono::steady_clock;

using Take = std::function<bool(wire::Message&)>;

/// Handles an event of the link. Returns whether the answer is complete; if it is not, sets `reason` to what
/// went wrong, if anything did.
bool answered(Link& link, const Link::Event& event, const wire::Message& question, const Take& take,
              std::string& reason) {
  if (std::holds_alternative<Link::Up>(event)) {
    reason = "it accepts connections but does not answer";
    link.send(wire::encode(question));
    return false;
  }
  if (const auto* down = std::get_if<Link::Down>(&event)) {
    reason = down->reason;
    return false;
  }
  const auto& frame = std::get<zmq::message_t>(event);
  const std::string_view text(frame.data<char>(), frame.size());
  if (auto mismatch = wire::version_mismatch(text)) throw ConnectionError(*mismatch);
  auto message = wire::decode(text);
  if (!message) {
    reason = "the answer is not from a Weft broker: " + message.fault();
  } else if (auto* refuse = std::get_if<wire::Refuse>(&*message)) {
    reason = "refused: " + refuse->text;
  } else {
    return take(*message);
  }
  return false;
}

/// Asks until `take`, which is called with each message, returns true: it has the whole answer. `again` is
/// called before the question is repeated on another connection. Throws ConnectionError.
void ask(const std::string& address, const wire::Message& question, std::chrono::milliseconds timeout,
         const std::function<void()>& again, const Take& take) {
  const auto deadline = Clock::now() + detail::bounded(timeout);
  zmq::context_t context;
  Link link(context);
  std::string reason = "no answer";
  link.open(address);
  for (;;) {
    bool lost = false;
    while (auto event = link.next()) {
      lost = std::holds_alternative<Link::Down>(*event);
      if (lost) again();
      if (answered(link, *event, question, take, reason)) return;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) break;
    std::vector<pollfd> items;
    link.watch(items);
    // Failed connections are retried, since a broker may be about to start.
    if (link.quiet()) poll_for(items, lost ? std::min(left, std::chrono::milliseconds(100)) : left);
    link.notice(items);
    if (lost) link.open(address);
  }
  throw ConnectionError(fmt::format("no broker answered at {} within {} s: {}", address,
                                    std::chrono::duration<double>(timeout).count(), reason));
}

}  // namespace

wire::Status query_status(const std::string& address, bool details, std::chrono::milliseconds timeout) {
  wire::Status status;
  ask(
      address, wire::StatusRequest{.details = details}, timeout, [] {},
      [&](wire::Message& message) {
        auto* answer = std::get_if<wire::Status>(&message);
        if (answer != nullptr) status = std::move(*answer);
        return answer != nullptr;
      });
  return status;
}

wire::Found query_detached(const std::string& address, const std::string& label,
                           std::chrono::milliseconds timeout) {
  wire::Found all;
  ask(
      address, wire::Find{label}, timeout, [&] { all = {}; },
      [&](wire::Message& message) {
        auto* found = std::get_if<wire::Found>(&message);
        if (found == nullptr) return false;
        all.tasks.insert(all.tasks.end(), found->tasks.begin(), found->tasks.end());
        all.sweeps = std::move(found->sweeps);
        return all.tasks.size() >= found->total;
      });
  return all;
}

wire::Answer query_answer(const std::string& address, const wire::Message& question,
                          std::chrono::milliseconds timeout) {
  wire::Answer answer;
  ask(
      address, question, timeout, [] {},
      [&](wire::Message& message) {
        auto* given = std::get_if<wire::Answer>(&message);
        if (given != nullptr) answer = std::move(*given);
        return given != nullptr;
      });
  return answer;
}

}  // namespace weft::client

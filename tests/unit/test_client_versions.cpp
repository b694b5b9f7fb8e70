// SPDX-License-Identifier: MIT
// A client and brokers of other minor versions.
#include <sstream>

#include "tests/unit/client_harness.hpp"

using namespace weft;
using namespace weft::client;
using namespace weft::client::test;

namespace {

/// Connects to a broker of version `minor`; returns the actions after its WELCOME.
Actions welcome(Harness& h, std::uint8_t minor, std::uint64_t epoch = 5) {
  h.advance(5s);
  h.step(LinkUp{});
  return h.step(Received{wire::Welcome{.epoch = epoch, .heartbeat_ms = 1000, .liveness = 3}, minor});
}

std::vector<Completion> completions(const Actions& actions) {
  std::vector<Completion> out;
  for (const Action& action : actions) {
    if (const auto* complete = std::get_if<Complete>(&action))
      out.insert(out.end(), complete->tasks.begin(), complete->tasks.end());
  }
  return out;
}

std::size_t submits(const Actions& actions) {
  std::size_t count = 0;
  for (const Action& action : actions) {
    const auto* send = std::get_if<Send>(&action);
    if (send == nullptr) continue;
    if (const auto* submit = std::get_if<wire::Submit>(&send->message)) count += submit->tasks.size();
    if (const auto* again = std::get_if<wire::Reannounce>(&send->message)) count += again->tasks.size();
    CHECK_FALSE((std::holds_alternative<wire::Define>(send->message) &&
                 !std::get<wire::Define>(send->message).content.directory.empty()));
  }
  return count;
}

}  // namespace

TEST_SUITE("client session: versions") {
  TEST_CASE("an essential option is never sent to an older broker: the task is refused with both versions") {
    Harness h;
    h.define(1, {.function = "f", .directory = "/data"});
    h.define(2);
    h.submit({h.task(1, 1), h.task(2, 2)});
    const Actions actions = welcome(h, 0);
    CHECK(submits(actions) == 1);
    const auto done = completions(actions);
    REQUIRE(done.size() == 1);
    CHECK(done[0].seq == 1);
    CHECK(done[0].outcome == wire::Outcome::refused);
    const std::string reason = wire::decode_error(done[0].payload.inline_bytes())->message;
    CAPTURE(reason);
    CHECK(reason.find("`directory`") != std::string::npos);
    CHECK(reason.find("2.1") != std::string::npos);
    CHECK(reason.find("2.0") != std::string::npos);
    CHECK(h.session.open_tasks() == 1);
  }

  TEST_CASE("a broker that knows the option gets it") {
    Harness h;
    h.define(1, {.function = "f", .directory = "/data"});
    h.submit({h.task(1, 1)});
    bool defined = false;
    for (const Action& action : welcome(h, wire::kMinor)) {
      const auto* send = std::get_if<Send>(&action);
      const auto* define = send != nullptr ? std::get_if<wire::Define>(&send->message) : nullptr;
      defined = defined || (define != nullptr && define->content.directory == "/data");
    }
    CHECK(defined);
  }

  TEST_CASE("a task that a newer broker had is refused when an older one takes its place") {
    Harness h;
    h.define(1, {.function = "f", .directory = "/data"});
    h.submit({h.task(1, 1)});
    welcome(h, wire::kMinor);
    h.step(LinkDown{"it was replaced"});
    const Actions actions = welcome(h, 0, 6);
    CHECK(submits(actions) == 0);
    REQUIRE(completions(actions).size() == 1);
    CHECK(completions(actions)[0].outcome == wire::Outcome::refused);
    CHECK(h.session.open_tasks() == 0);
  }

  TEST_CASE("a task whose result is lost is refused by an older broker that does not know its option") {
    Harness h;
    h.define(1, {.function = "f", .directory = "/data"});
    h.submit({h.task(1, 1)});
    welcome(h, wire::kMinor);
    const wire::BlobRef result{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    h.deliver(1, {.seq = 1, .outcome = wire::Outcome::ok, .payload = wire::Payload(result)});
    h.step(LinkDown{"it was replaced"});
    CHECK(completions(welcome(h, 0, 6)).empty());
    std::vector<Completion> done;
    for (int tries = 0; tries < 10 && done.empty(); ++tries) {
      const Actions gone = h.step(Received{wire::Gone{result.id, "its holder is not connected"}, 0});
      CHECK(submits(gone) == 0);
      done = completions(gone);
      h.step(Received{wire::Heartbeat{}, 0});
      h.advance(1s);
    }
    REQUIRE(done.size() == 1);
    CHECK(done[0].outcome == wire::Outcome::refused);
  }

  TEST_CASE("a kind of delivery that only a newer broker knows is acknowledged and passed over") {
    Harness h;
    h.running_tasks(1);
    const Actions actions = h.deliver(1, {.seq = 1, .kind = wire::DeliveryKind::unknown});
    CHECK(completions(actions).empty());
    bool acknowledged = false;
    for (const Action& action : h.advance(1s))
      acknowledged = acknowledged || action == Action(Send{wire::Ack{1}});
    CHECK(acknowledged);
    CHECK(completions(h.deliver(2, {.seq = 1, .payload = wire::Payload(std::string_view("r"))})).size() == 1);
  }

  TEST_CASE("an outcome that only a newer broker knows ends the task, and not with a value") {
    Harness h;
    h.running_tasks(1);
    const auto done = completions(h.deliver(1, {.seq = 1, .outcome = wire::Outcome::unknown}));
    REQUIRE(done.size() == 1);
    CHECK(done[0].outcome == wire::Outcome::unknown);
  }
}

// SPDX-License-Identifier: MIT
// Tasks of the client core: submitted, answered, cancelled, detached.
#include "tests/unit/client_harness.hpp"

using namespace weft;
using namespace weft::client;
using namespace weft::client::test;

TEST_SUITE("client session: tasks") {
  TEST_CASE("what was submitted before the first WELCOME goes out after SYNCED, with its spec first") {
    Harness h;
    h.define();
    h.submit({h.task(1), h.task(2)});
    CHECK_ACTIONS(h.join(), {Send{wire::Synced{}}, Send{wire::Define{1, spec("f")}},
                             Send{wire::Submit{{h.task(1), h.task(2)}}}});
  }

  TEST_CASE("each spec is defined once, in front of the first task that names it") {
    Harness h;
    h.join();
    h.define(1);
    h.define(2, spec("g"));
    CHECK_ACTIONS(h.submit({h.task(1, 1), h.task(2, 2), h.task(3, 1)}),
                  {Send{wire::Define{1, spec("f")}}, Send{wire::Submit{{h.task(1, 1)}}},
                   Send{wire::Define{2, spec("g")}}, Send{wire::Submit{{h.task(2, 2), h.task(3, 1)}}}});
    CHECK_ACTIONS(h.submit({h.task(4, 2)}), {Send{wire::Submit{{h.task(4, 2)}}}});
  }

  TEST_CASE("a result completes its task, and is acknowledged once a turn") {
    Harness h;
    h.running_tasks(3);
    CHECK_ACTIONS(h.receive(wire::Deliver{.first = 1, .records = {ok(2, "two"), ok(1, "one")}}),
                  {Complete{{{.seq = 2, .payload = wire::Payload(std::string_view("two"))},
                             {.seq = 1, .payload = wire::Payload(std::string_view("one"))}}}});
    CHECK_ACTIONS(h.deliver(3, ok(3)), {completed(3, "r")});
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{3}}});
    CHECK_ACTIONS(h.tick(), {});
    CHECK(h.session.open_tasks() == 0);
  }

  TEST_CASE("a delivery that was seen before is acknowledged again and changes nothing") {
    Harness h;
    h.running_tasks(2);
    h.deliver(1, ok(1));
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1}}});
    CHECK_ACTIONS(h.receive(wire::Deliver{.first = 1, .records = {ok(1, "again"), ok(2)}}),
                  {completed(2, "r")});
    CHECK_ACTIONS(h.tick(), {});  // the last ACK was just now, and ACKs are cumulative
    CHECK_ACTIONS(h.advance(std::chrono::milliseconds(19)), {});
    CHECK_ACTIONS(h.advance(std::chrono::milliseconds(1)), {Send{wire::Ack{2}}});
  }

  TEST_CASE("many deliveries are acknowledged at once, though the last ACK was just now") {
    const std::uint64_t last = Harness::defaults().acks.deliveries + 1;
    Harness h;
    h.running_tasks(last);
    h.deliver(1, ok(1));
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1}}});
    wire::Deliver many{.first = 2, .records = {}};
    for (std::uint64_t seq = 2; seq <= last; ++seq) many.records.push_back(ok(seq));
    h.receive(many);
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{last}}});
  }

  TEST_CASE("many bytes of results are acknowledged at once, since the broker bounds what is not") {
    Harness h;
    h.running_tasks(40);
    h.deliver(1, ok(1));
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1}}});
    const std::string large(Harness::defaults().acks.bytes / 4, 'x');
    const auto deliver = [&](std::uint64_t number) {
      h.receive(wire::Deliver{.first = number, .records = {ok(number, large)}});
      return h.tick();
    };
    for (std::uint64_t number = 2; number <= 4; ++number) CHECK_ACTIONS(deliver(number), {});
    CHECK_ACTIONS(deliver(5), {Send{wire::Ack{5}}});
    CHECK_ACTIONS(deliver(6), {});  // the count starts again
  }

  TEST_CASE("a gap in the deliveries breaks the connection") {
    Harness h;
    h.running_tasks(2);
    CHECK(h.deliver(2, ok(1)).front() == Action(CloseLink{}));
    CHECK(h.session.open_tasks() == 2);
  }

  TEST_CASE("a broker that has more than was ever sent is not believed") {
    Harness h;
    h.running_tasks(2);
    h.step(LinkDown{"broken"});
    const Actions actions = h.join(5, true, 3);
    REQUIRE(!actions.empty());
    CHECK(actions[0] == Action(CloseLink{}));
    CHECK(h.session.last_reason() == "the broker claims to have task 3, but none after 2 has been sent");
    CHECK(h.session.open_tasks() == 2);
  }

  TEST_CASE("tasks under way are bounded by the window") {
    auto settings = Harness::defaults();
    settings.window_bytes = 100;
    Harness h(settings);
    h.define();
    h.join();
    const std::string large(50, 'a');  // 66 bytes each
    CHECK_ACTIONS(
        h.submit({h.task(1, 1, large), h.task(2, 1, large), h.task(3, 1, large)}),
        {Send{wire::Define{1, spec("f")}}, Send{wire::Submit{{h.task(1, 1, large), h.task(2, 1, large)}}}});
    CHECK_ACTIONS(h.receive(wire::Received{1}), {});
    CHECK_ACTIONS(h.receive(wire::Received{2}), {Send{wire::Submit{{h.task(3, 1, large)}}}});
  }

  TEST_CASE("a running task is marked, and marked again when it was lost") {
    Harness h;
    h.running_tasks(1);
    CHECK_ACTIONS(h.receive(wire::Running{{1, 9}}), {MarkRunning{{1}, true}});
    wire::DeliveryRecord failed = charged(1, 0, {});
    failed.outcome = wire::Outcome::failed;
    failed.retries_used = 1;
    CHECK_ACTIONS(h.deliver(1, failed), {MarkRunning{{1}, false}});
  }

  TEST_CASE("a crash is told when it happens, and many of them every few seconds") {
    Harness h;
    h.define(1, {.function = "fit", .label = "sweep"});
    h.join();
    for (std::uint64_t seq = 1; seq <= 3; ++seq) h.submit({h.task(seq)});
    const wire::ErrorInfo info{.message = "killed by signal 11 (Segmentation fault)", .worker = "w1"};
    Notice crash{.kind = NoticeKind::task_crashed,
                 .name = "fit",
                 .place = "w1",
                 .label = "sweep",
                 .detail = info.message,
                 .task = {uuid(1), 1},
                 .numbers = {1, 3, 0}};
    CHECK_ACTIONS(h.deliver(1, charged(1, 1, info)), {Notify{crash}});
    CHECK_ACTIONS(h.deliver(2, charged(2, 1, info)), {});
    CHECK_ACTIONS(h.deliver(3, charged(3, 1, info)), {});
    h.advance(2s);
    h.receive(wire::Heartbeat{});
    h.advance(2s);
    h.receive(wire::Heartbeat{});
    h.advance(1s);
    const Actions later = h.deliver(4, charged(1, 2, info));
    crash.numbers = {2, 3, 2};
    CHECK(later.front() == Action(Notify{crash}));
  }

  TEST_CASE("a task that was lost too often tells of every attempt, and once of what all have in common") {
    Harness h;
    h.running_tasks(1);
    wire::ErrorInfo info{
        .message = "killed by signal 11", .worker = "w1", .host = "n1", .started_ms = 1000, .ended_ms = 2500};
    h.deliver(1, charged(1, 1, info));
    info.message = "killed by signal 9";
    h.deliver(2, charged(1, 2, info));
    info.message = "killed by signal 11";
    info.worker = "w2";
    wire::DeliveryRecord last = charged(1, 3, info);
    last.kind = wire::DeliveryKind::final;
    const std::string when = " on n1, 1970-01-01 00:00:01.000 to 1970-01-01 00:00:02.500: was lost";
    CHECK_ACTIONS(h.deliver(3, last),
                  {Complete{{{.seq = 1,
                              .outcome = wire::Outcome::crashed,
                              .attempts = 3,
                              .payload = last.payload,
                              .history = {"attempt 1: worker w1" + when,
                                          "attempt 2: worker w1" + when + ": killed by signal 9",
                                          "attempt 3: worker w2" + when},
                              .arguments = wire::Payload(std::string_view("p"))}}}});
  }

  TEST_CASE("a retired spec is forgotten with its last task") {
    Harness h;
    h.running_tasks(1);
    CHECK_ACTIONS(h.step(RetireSpec{1}), {});
    CHECK_ACTIONS(h.deliver(1, ok(1)), {completed(1, "r"), Send{wire::Forget{1}}});
    h.define(2);
    CHECK_ACTIONS(h.step(RetireSpec{2}), {});  // the broker does not know this spec
  }
}

TEST_SUITE("client session: cancel") {
  TEST_CASE("it is local and immediate; the broker's answer closes the matter") {
    Harness h;
    h.running_tasks(2);
    CHECK_ACTIONS(h.step(CancelTasks{{1, 7}}), {cancelled(1), CancelsSettled{{7}}, Send{wire::Cancel{{1}}}});
    CHECK_ACTIONS(h.step(CancelTasks{{1}}), {});
    CHECK(h.session.open_tasks() == 2);
    CHECK_ACTIONS(h.deliver(1, {.seq = 1, .outcome = wire::Outcome::cancelled}), {CancelsSettled{{1}}});
    CHECK(h.session.open_tasks() == 1);
  }

  TEST_CASE("a result that came first is ignored, and its blob dropped") {
    Harness h;
    h.running_tasks(1);
    h.step(CancelTasks{{1}});
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    CHECK_ACTIONS(h.deliver(1, ok_blob(1, ref)),
                  {Send{wire::Drop{uuid(9), blob_id(3)}}, CancelsSettled{{1}}});
    CHECK(h.session.open_tasks() == 0);
  }

  TEST_CASE("a task that never left vanishes") {
    Harness h;
    h.define();
    h.submit({h.task(1), h.task(2)});
    CHECK_ACTIONS(h.step(CancelTasks{{1}}), {cancelled(1), CancelsSettled{{1}}});
    CHECK_ACTIONS(h.join(),
                  {Send{wire::Synced{}}, Send{wire::Define{1, spec("f")}}, Send{wire::Submit{{h.task(2)}}}});
  }

  TEST_CASE("it is sent again to the same broker, and means nothing to another one") {
    Harness h;
    h.running_tasks(2);
    h.step(LinkDown{"x"});
    CHECK_ACTIONS(h.step(CancelTasks{{1}}), {cancelled(1)});
    SUBCASE("resumed") {
      CHECK_ACTIONS(h.join(5, true, 2),
                    {Send{wire::Cancel{{1}}},
                     Notify{Notice{.kind = NoticeKind::broker_back, .name = kBroker}}, Send{wire::Synced{}}});
      CHECK(h.session.open_tasks() == 2);
    }
    SUBCASE("resumed, but its SUBMIT was lost") {
      h.join(5, true, 0);
      CHECK(h.session.open_tasks() == 1);
    }
    SUBCASE("a new epoch") {
      const Actions actions = h.join(6);
      CHECK(actions[0] == Action(CancelsSettled{{1}}));
      CHECK(actions[3] ==
            Action(Send{wire::Reannounce{
                {{.seq = 2,
                  .spec = 1,
                  .waited_ms = static_cast<std::uint64_t>((h.now.time_since_epoch()).count() / 1000),
                  .payload = wire::Payload(std::string_view("p"))}}}}));
      CHECK(h.session.open_tasks() == 1);
    }
  }
}

TEST_SUITE("client session: detached tasks") {
  TEST_CASE("one that is refused is not kept, and the reason is told") {
    Harness h;
    h.define(1, {.function = "f", .label = "x", .detach = true});
    h.join();
    h.submit({h.task(1), h.task(2), h.task(3), h.task(4)});
    CHECK_ACTIONS(h.receive(wire::Journaled{{1}}), {MarkJournaled{1}});
    const wire::Payload why(wire::encode_error({.message = "no journal"}));
    const wire::DeliveryRecord refused{.seq = 2, .outcome = wire::Outcome::refused, .payload = why};
    const Actions actions = h.deliver(1, refused);
    CHECK(actions.at(1) == Action(MarkJournaled{1, 1, "no journal"}));
    CHECK(h.step(CancelTasks{{3}}).at(1) == Action(MarkJournaled{1}));
    CHECK(h.deliver(2, ok(4)).at(1) == Action(MarkJournaled{1}));
  }

  TEST_CASE("cancelled ones are taken too, in one message each") {
    Harness h;
    h.define(1, {.function = "f", .label = "x", .detach = true});
    h.join();
    h.submit({h.task(1), h.task(2)});
    h.receive(wire::Journaled{{1, 2}});
    const Actions actions = h.step(CancelTasks{{1, 2}});
    REQUIRE(actions.size() == 3);
    CHECK(actions[1] == Action(Send{wire::Cancel{{1, 2}}}));
    CHECK(actions[2] == Action(Send{wire::Fetched{{{uuid(1), 1}, {uuid(1), 2}}}}));
    CHECK_ACTIONS(h.step(Taken{1}), {});
  }

  TEST_CASE("what is not needed is repeated on each connection, in messages below 1 MiB") {
    constexpr std::uint64_t kTasks = 60'000;
    Harness h;
    h.define(1, {.function = "f", .label = "x", .detach = true});
    h.join();
    std::vector<wire::SubmitRecord> tasks;
    std::vector<std::uint64_t> seqs;
    for (std::uint64_t seq = 1; seq <= kTasks; ++seq) {
      tasks.push_back(h.task(seq));
      seqs.push_back(seq);
    }
    h.submit(std::move(tasks));
    h.receive(wire::Received{kTasks});
    const auto fetched = [](const Actions& actions) {
      std::size_t count = 0;
      for (const Action& action : actions) {
        const auto* send = std::get_if<Send>(&action);
        const auto* message = send != nullptr ? std::get_if<wire::Fetched>(&send->message) : nullptr;
        if (message == nullptr) continue;
        count += message->tasks.size();
        CHECK(wire::encode(*message).size() < 1 << 20);
      }
      return count;
    };
    CHECK(fetched(h.step(CancelTasks{seqs})) == kTasks);
    h.step(LinkDown{"x"});
    CHECK(fetched(h.join(5, true, kTasks)) == kTasks);
  }

  TEST_CASE("their cancel is said to a new broker as well, whose journal may have them") {
    Harness h;
    h.define(1, {.function = "f", .label = "x", .detach = true});
    h.define(2, {.kind = wire::TaskKind::attached, .function = "g", .label = "y"});
    h.join();
    const std::string other = wire::encode_ref({uuid(9), 5});
    h.submit({h.task(1), h.task(2), h.task(3, 2, other)});
    h.receive(wire::Received{3});
    h.receive(wire::Journaled{{1, 2}});
    h.step(CancelTasks{{1, 3}});
    h.step(LinkDown{"x"});
    const Actions actions = h.join(6);
    const auto sent = [&](const wire::Message& message) {
      return std::find(actions.begin(), actions.end(), Action(Send{message})) - actions.begin();
    };
    const auto first_fetched = [&](const wire::TaskRef& ref) {
      return std::find_if(actions.begin(), actions.end(),
                          [&](const Action& action) {
                            const auto* send = std::get_if<Send>(&action);
                            const auto* fetched =
                                send != nullptr ? std::get_if<wire::Fetched>(&send->message) : nullptr;
                            return fetched != nullptr &&
                                   std::count(fetched->tasks.begin(), fetched->tasks.end(), ref) > 0;
                          }) -
             actions.begin();
    };
    for (const auto& [seq, ref] : {std::pair{std::uint64_t{1}, wire::TaskRef{uuid(1), 1}},
                                   std::pair{std::uint64_t{3}, wire::TaskRef{uuid(9), 5}}}) {
      std::ptrdiff_t announced = -1;
      for (std::size_t i = 0; i < actions.size(); ++i) {
        const auto* send = std::get_if<Send>(&actions[i]);
        const auto* again = send != nullptr ? std::get_if<wire::Reannounce>(&send->message) : nullptr;
        for (const auto& task : again != nullptr ? again->tasks : std::vector<wire::ReannounceRecord>{}) {
          if (task.seq != seq) continue;
          announced = static_cast<std::ptrdiff_t>(i);
          CHECK(again->cancelled);
        }
      }
      CHECK(announced >= 0);
      CHECK(sent(wire::Cancel{{seq}}) > announced);
      CHECK(first_fetched(ref) > sent(wire::Cancel{{seq}}));
      CHECK(sent(wire::Synced{}) > first_fetched(ref));
    }
    CHECK(sent(wire::Synced{}) < static_cast<std::ptrdiff_t>(actions.size()));
    CHECK_ACTIONS(h.deliver(1, {.seq = 3, .outcome = wire::Outcome::cancelled}), {CancelsSettled{{3}}});
    h.deliver(2, {.seq = 1, .outcome = wire::Outcome::cancelled});
    CHECK(h.session.open_tasks() == 1);
  }
}

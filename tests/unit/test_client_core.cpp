// SPDX-License-Identifier: MIT
#include <sstream>

#include "tests/unit/client_harness.hpp"

using namespace weft;
using namespace weft::client;
using namespace weft::client::test;

namespace {

wire::DeliveryRecord ok(std::uint64_t seq, const std::string& payload = "r") {
  return {.seq = seq, .payload = wire::Payload(payload)};
}
wire::DeliveryRecord ok_blob(std::uint64_t seq, const wire::BlobRef& ref) {
  return {.seq = seq, .payload = wire::Payload(ref)};
}
wire::DeliveryRecord charged(std::uint64_t seq, std::uint32_t crashes, const wire::ErrorInfo& info) {
  return {.seq = seq,
          .kind = wire::DeliveryKind::charged,
          .outcome = wire::Outcome::crashed,
          .crashes = crashes,
          .payload = wire::Payload(wire::encode_error(info))};
}
wire::TaskSpec spec(const std::string& function) { return {.function = function}; }
Action get(const wire::BlobRef& ref, std::uint64_t offset, std::uint32_t bytes) {
  return Send{wire::Get{.holder = ref.holder, .id = ref.id, .offset = offset, .bytes = bytes}};
}
wire::Data chunk(const wire::BlobRef& ref, std::uint64_t offset, std::size_t bytes) {
  return {.id = ref.id, .offset = offset, .bytes = Bytes(std::string(bytes, 'x'))};
}

constexpr std::uint32_t kChunk = wire::kChunkBytes;

}  // namespace

#define CHECK_ACTIONS(actual, ...)                                                                   \
  do {                                                                                               \
    const Actions actual_ = (actual);                                                                \
    const Actions expected_ = Actions __VA_ARGS__;                                                   \
    CHECK_MESSAGE(actual_ == expected_, "\n" << lines(actual_) << "expected\n" << lines(expected_)); \
  } while (false)

TEST_SUITE("client session: presence") {
  TEST_CASE("it connects at once, says HELLO, and after WELCOME says SYNCED") {
    Harness h;
    CHECK_ACTIONS(h.tick(), {OpenLink{}});
    CHECK_ACTIONS(h.step(LinkUp{}),
                  {Send{wire::HelloClient{.session = uuid(1), .name = "test", .host = "here", .pid = 7}}});
    CHECK_ACTIONS(h.receive(wire::Welcome{.epoch = 5, .heartbeat_ms = 1000, .liveness = 3}),
                  {Send{wire::Synced{}}});
    CHECK(h.session.joined());
    CHECK_ACTIONS(h.advance(1s), {Send{wire::Heartbeat{}}});
  }

  TEST_CASE("without a broker it tries until the timeout, then gives up with the last reason") {
    Harness h;
    CHECK_ACTIONS(h.tick(), {OpenLink{}});
    CHECK_ACTIONS(h.step(LinkDown{"connection refused"}), {});
    bool gave_up = false;
    while (!h.session.over()) {
      for (const Action& action : h.advance(100ms)) {
        if (std::holds_alternative<OpenLink>(action)) h.step(LinkDown{"connection refused"});
        gave_up =
            gave_up ||
            action ==
                Action(GaveUp{"no broker answered at tcp://broker:8786 within 10 s: connection refused"});
      }
    }
    CHECK(gave_up);
    CHECK(h.now >= Time(10s));
    CHECK(h.now <= Time(10s + 200ms));
    CHECK_FALSE(h.session.deadline());
  }

  TEST_CASE("a lost broker is waited for as long as give_up says, then every task is given up") {
    Harness h;
    h.running_tasks(2);
    const Actions lost = h.step(LinkDown{"gone"});
    CHECK_ACTIONS(
        lost, {Log{Log::Level::warning,
                   "lost the broker at tcp://broker:8786: gone; waiting up to 60 s for it to come back"}});
    Actions last;
    while (!h.session.over()) {
      for (const Action& action : h.advance(100ms)) {
        if (std::holds_alternative<OpenLink>(action)) h.step(LinkDown{"refused"});
        last.push_back(action);
      }
    }
    CHECK(last.back() ==
          Action(
              GaveUp{"the broker was lost and did not come back at tcp://broker:8786 within 60 s: refused"}));
    CHECK(h.session.open_tasks() == 0);
    CHECK_ACTIONS(h.submit({}), {});
  }

  TEST_CASE("for ever is for ever, and a message says so") {
    ClientCore::Settings settings = Harness::defaults();
    settings.connect_timeout = settings.give_up = weft::detail::kForever;
    Harness h(settings);
    h.running_tasks(1);
    CHECK_ACTIONS(
        h.step(LinkDown{"gone"}),
        {Log{Log::Level::warning,
             "lost the broker at tcp://broker:8786: gone; waiting as long as it takes for it to come "
             "back"}});
    h.now += 24h * 365;
    h.tick();
    CHECK_FALSE(h.session.over());
  }

  TEST_CASE("after a second without a broker it says once what it waits for") {
    Harness h;
    h.tick();
    h.step(LinkDown{"connection refused"});
    std::size_t told = 0;
    while (h.now < Time(5s)) {
      for (const Action& action : h.advance(100ms)) {
        if (std::holds_alternative<OpenLink>(action)) h.step(LinkDown{"connection refused"});
        if (const auto* log = std::get_if<Log>(&action)) {
          ++told;
          CHECK(h.now >= Time(1s));
          CHECK(log->text ==
                "no broker answers at tcp://broker:8786 (connection refused); waiting up to 10 s for one: is "
                "weft-broker running there?");
        }
      }
    }
    CHECK(told == 1);
  }

  TEST_CASE("connections that break before anything was taken are one loss: give_up ends them") {
    Harness h;
    h.running_tasks(1);
    h.step(LinkDown{"too large"});
    std::size_t lines = 0;
    while (!h.session.over()) {
      for (const Action& action : h.advance(50ms)) {
        lines += std::holds_alternative<Log>(action) ? 1 : 0;
        if (!std::holds_alternative<OpenLink>(action)) continue;
        h.step(LinkUp{});
        for (const Action& next : h.receive(wire::Welcome{
                 .epoch = 5, .heartbeat_ms = 1000, .liveness = 3, .resumed = true, .received = 1}))
          lines += std::holds_alternative<Log>(next) ? 1 : 0;
        h.step(LinkDown{"too large"});
      }
    }
    CHECK(h.now >= Time(60s));
    CHECK(h.now <= Time(62s));
    CHECK(lines == 1);  // that it is back; the loss was told before
  }

  TEST_CASE("a connection that was of use begins a new time") {
    Harness h;
    h.running_tasks(2);
    for (int i = 0; i < 10; ++i) {
      h.step(LinkDown{"x"});
      h.advance(20s);
      if (h.session.joined()) continue;
      h.step(LinkUp{});
      h.receive(
          wire::Welcome{.epoch = 5, .heartbeat_ms = 1000, .liveness = 3, .resumed = true, .received = 2});
      h.advance(900ms);
      h.receive(wire::Heartbeat{});
      h.advance(900ms);
      h.receive(wire::Heartbeat{});  // it has lived for a second
    }
    CHECK_FALSE(h.session.over());
  }

  TEST_CASE("a silent broker is taken for lost after interval times liveness") {
    Harness h;
    h.join();
    const Actions actions = h.advance(3s);
    CHECK(std::count(actions.begin(), actions.end(), Action(CloseLink{})) == 1);
    CHECK_FALSE(h.session.joined());
  }

  TEST_CASE("another major version is final and names both") {
    Harness h;
    h.tick();
    h.step(LinkUp{});
    CHECK_ACTIONS(h.receive(wire::Refuse{wire::RefuseCode::version, "this broker speaks 2.0, you speak 1.0"}),
                  {CloseLink{},
                   GaveUp{"the broker at tcp://broker:8786 refused: this broker speaks 2.0, you speak 1.0"}});
    CHECK(h.session.over());
  }

  TEST_CASE("any other refusal and any garbage mean a new connection") {
    Harness h;
    h.join();
    CHECK(h.receive(wire::Refuse{wire::RefuseCode::malformed, "what?"}).front() == Action(CloseLink{}));
    CHECK_FALSE(h.session.over());
    h.join();
    CHECK(h.step(ReceivedGarbage{"not a Weft message"}).front() == Action(CloseLink{}));
    h.join();
    CHECK(h.receive(wire::Ready{}).front() == Action(CloseLink{}));
  }

  TEST_CASE("close says GOODBYE and ends") {
    Harness h;
    h.running_tasks(1);
    CHECK_ACTIONS(h.step(Close{}), {Send{wire::Goodbye{"the client is done"}}, CloseLink{}});
    CHECK(h.session.over());
  }
}

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
    CHECK_ACTIONS(h.tick(), {});  // the last one was just now, and they are cumulative
    CHECK_ACTIONS(h.advance(std::chrono::milliseconds(19)), {});
    CHECK_ACTIONS(h.advance(std::chrono::milliseconds(1)), {Send{wire::Ack{2}}});
  }

  TEST_CASE("a thousand deliveries are acknowledged at once, though the last ACK was just now") {
    Harness h;
    h.running_tasks(1001);
    h.deliver(1, ok(1));
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1}}});
    wire::Deliver many{.first = 2, .records = {}};
    for (std::uint64_t seq = 2; seq <= 1001; ++seq) many.records.push_back(ok(seq));
    h.receive(many);
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1001}}});
  }

  TEST_CASE("many bytes of results are acknowledged at once, since the broker bounds what is not") {
    Harness h;
    h.running_tasks(40);
    h.deliver(1, ok(1));
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1}}});
    const std::string large(std::size_t{64} << 10, 'x');
    const auto deliver = [&](std::uint64_t number) {
      h.receive(wire::Deliver{.first = number, .records = {ok(number, large)}});
      return h.tick();
    };
    for (std::uint64_t number = 2; number <= 4; ++number) CHECK_ACTIONS(deliver(number), {});
    CHECK_ACTIONS(deliver(5), {Send{wire::Ack{5}}});
    CHECK_ACTIONS(deliver(6), {});  // the count begins anew
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
    const std::string begin = "task " + TaskId{uuid(1), 1}.text();
    CHECK_ACTIONS(
        h.deliver(1, charged(1, 1, info)),
        {Log{Log::Level::warning, begin + " (fit, label \"sweep\") crashed on worker w1: killed by signal 11 "
                                          "(Segmentation fault); it runs again (crash 1 of 3)"}});
    CHECK_ACTIONS(h.deliver(2, charged(2, 1, info)), {});
    CHECK_ACTIONS(h.deliver(3, charged(3, 1, info)), {});
    h.advance(2s);
    h.receive(wire::Heartbeat{});
    h.advance(2s);
    h.receive(wire::Heartbeat{});
    h.advance(1s);
    const Actions later = h.deliver(4, charged(1, 2, info));
    const auto* log = std::get_if<Log>(&later.front());
    REQUIRE(log != nullptr);
    CHECK(log->text == begin +
                           " (fit, label \"sweep\") crashed on worker w1: killed by signal 11 (Segmentation "
                           "fault); it runs again (crash 2 of 3); 2 other crashes since the last such line");
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
    CHECK_ACTIONS(h.step(RetireSpec{2}), {});  // the broker has never heard of it
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
      CHECK_ACTIONS(h.join(5, true, 2), {Send{wire::Cancel{{1}}},
                                         Log{Log::Level::warning, "the broker at tcp://broker:8786 is back"},
                                         Send{wire::Synced{}}});
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
    CHECK_ACTIONS(h.receive(wire::Kept{{1}}), {MarkKept{1}});
    const wire::Payload why(wire::encode_error({.message = "no journal"}));
    const wire::DeliveryRecord refused{.seq = 2, .outcome = wire::Outcome::refused, .payload = why};
    const Actions actions = h.deliver(1, refused);
    CHECK(actions.at(1) == Action(MarkKept{1, 1, "no journal"}));
    CHECK(h.step(CancelTasks{{3}}).at(1) == Action(MarkKept{1}));
    CHECK(h.deliver(2, ok(4)).at(1) == Action(MarkKept{1}));
  }

  TEST_CASE("cancelled ones are taken too, in one message each") {
    Harness h;
    h.define(1, {.function = "f", .label = "x", .detach = true});
    h.join();
    h.submit({h.task(1), h.task(2)});
    h.receive(wire::Kept{{1, 2}});
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
    h.receive(wire::Kept{{1, 2}});
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

TEST_SUITE("client session: reconnects") {
  TEST_CASE("the same broker gets what it has not received, and HELLO says what was delivered") {
    Harness h;
    h.define();
    h.join();
    h.submit({h.task(1), h.task(2), h.task(3)});
    h.deliver(1, ok(1));
    h.step(LinkDown{"x"});
    const Actions actions = h.join(5, true, 2);
    CHECK_ACTIONS(
        h.hello,
        {Send{wire::HelloClient{
            .session = uuid(1), .name = "test", .host = "here", .pid = 7, .epoch = 5, .delivered = 1}}});
    CHECK_ACTIONS(actions,
                  {Log{Log::Level::warning, "the broker at tcp://broker:8786 is back"},
                   Send{wire::Define{1, spec("f")}}, Send{wire::Submit{{h.task(3)}}}, Send{wire::Synced{}}});
  }

  TEST_CASE("a new broker is told everything that is open, with its charges; deliveries start again") {
    Harness h;
    h.running_tasks(3);
    h.deliver(1, ok(2));
    h.deliver(2, charged(3, 1, {}));
    h.step(LinkDown{"x"});
    h.submit({h.task(4)});
    const Actions actions = h.join(6);
    REQUIRE(actions.size() == 5);
    CHECK(actions[1] == Action(Send{wire::Define{1, spec("f")}}));
    const auto& again = std::get<wire::Reannounce>(std::get<Send>(actions[2]).message);
    REQUIRE(again.tasks.size() == 2);
    CHECK(again.tasks[0].seq == 1);
    CHECK(again.tasks[1].seq == 3);
    CHECK(again.tasks[1].crashes == 1);
    CHECK(actions[3] == Action(Send{wire::Synced{}}));
    CHECK(actions[4] == Action(Send{wire::Submit{{h.task(4)}}}));
    CHECK_ACTIONS(h.deliver(1, ok(1)), {completed(1, "r")});
    h.deliver(2, charged(3, 1, {}));  // as it knows already
    const Actions last = h.deliver(3, ok(3));
    const auto done = std::find_if(last.begin(), last.end(), [](const Action& action) {
      return std::holds_alternative<Complete>(action);
    });
    REQUIRE(done != last.end());
    CHECK(std::get<Complete>(*done).tasks[0].attempts == 2);
  }

  TEST_CASE("the connection breaks while it announces again: the rest is still announced, not submitted") {
    auto settings = Harness::defaults();
    settings.window_bytes = 17;
    Harness h(settings);
    h.define();
    h.join();
    h.submit({h.task(1), h.task(2), h.task(3)});
    h.receive(wire::Received{1});
    h.receive(wire::Received{2});
    h.receive(wire::Received{3});
    h.step(LinkDown{"x"});
    h.join(6);
    h.step(LinkDown{"x"});
    const Actions actions = h.join(6, true, 1);
    REQUIRE(actions.size() == 2);  // SYNCED only when all are announced
    CHECK(actions[0] == Action(Send{wire::Define{1, spec("f")}}));
    CHECK(std::get<wire::Reannounce>(std::get<Send>(actions[1]).message).tasks[0].seq == 2);
    CHECK(std::get<wire::Reannounce>(std::get<Send>(h.receive(wire::Received{2})[0]).message).tasks[0].seq ==
          3);
  }
}

TEST_SUITE("client session: blobs") {
  TEST_CASE("a large result is pulled, verified, dropped at its holder, and only then completes") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = kChunk + 100};
    CHECK_ACTIONS(h.deliver(1, ok_blob(1, ref)), {get(ref, 0, kChunk), get(ref, kChunk, 100)});
    CHECK_ACTIONS(h.tick(), {Send{wire::Ack{1}}});
    CHECK_ACTIONS(h.receive(chunk(ref, kChunk, 100)),
                  {StoreChunk{ref.id, ref.size, kChunk, chunk(ref, kChunk, 100).bytes}});
    CHECK_ACTIONS(h.receive(chunk(ref, kChunk, 100)), {});
    CHECK_ACTIONS(h.receive(chunk(ref, 0, 7)), {});
    CHECK_ACTIONS(
        h.receive(chunk(ref, 0, kChunk)),
        {StoreChunk{ref.id, ref.size, 0, chunk(ref, 0, kChunk).bytes}, VerifyBlob{ref.id, ref.size}});
    CHECK_ACTIONS(h.step(BlobReady{ref.id}),
                  {Send{wire::Drop{uuid(9), ref.id}},
                   Complete{{{.seq = 1, .takes_blob = true, .payload = wire::Payload(ref)}}}});
    CHECK(h.session.open_tasks() == 0);
  }

  TEST_CASE("no more than the window of chunks is asked for") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = std::uint64_t{kChunk} * 20};
    CHECK(h.deliver(1, ok_blob(1, ref)).size() == wire::kChunksInFlight);
    CHECK_ACTIONS(h.receive(chunk(ref, 0, kChunk)),
                  {StoreChunk{ref.id, ref.size, 0, chunk(ref, 0, kChunk).bytes},
                   get(ref, std::uint64_t{kChunk} * 8, kChunk)});
  }

  TEST_CASE("a holder that is away is asked each second; after five the task is announced again") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    h.deliver(1, ok_blob(1, ref));
    h.tick();
    for (int i = 0; i < 5; ++i) {
      CHECK_ACTIONS(h.receive(wire::Gone{ref.id, "away"}), {});
      h.receive(wire::Heartbeat{});
      const Actions actions = h.advance(1s);
      CHECK(std::count(actions.begin(), actions.end(), get(ref, 0, 100'000)) == 1);
    }
    const Actions actions = h.receive(wire::Gone{ref.id, "away"});
    REQUIRE(actions.size() == 3);
    CHECK(actions[0] == Action(DropBlob{ref.id}));
    CHECK(std::get<wire::Reannounce>(std::get<Send>(actions[2]).message).tasks[0].seq == 1);
    CHECK_ACTIONS(h.deliver(2, ok(1)), {completed(1, "r")});
  }

  TEST_CASE(
      "a holder that never answers is told to drop the result after 30 seconds, and the task runs again") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = std::uint64_t{kChunk} * 2};
    h.deliver(1, ok_blob(1, ref));
    h.tick();
    h.receive(chunk(ref, 0, kChunk));
    const auto live = [&](Duration duration) {  // the broker is there
      Actions all;
      for (const Time end = h.now + duration; h.now < end;) {
        h.receive(wire::Heartbeat{});
        for (Action& action : h.advance(1s)) {
          if (action != Action(Send{wire::Heartbeat{}})) all.push_back(std::move(action));
        }
      }
      return all;
    };
    CHECK_ACTIONS(live(29s), {});
    const Actions actions = live(1s);
    REQUIRE(actions.size() == 4);
    CHECK(actions[0] == Action(DropBlob{ref.id}));
    CHECK(actions[1] ==
          Action(Log{Log::Level::warning,
                     "the result of task 1 is lost (its holder does not answer): the task runs again"}));
    CHECK(actions[2] == Action(Send{wire::Drop{uuid(9), ref.id}}));
    CHECK(std::get<wire::Reannounce>(std::get<Send>(actions[3]).message).tasks[0].seq == 1);
    CHECK_ACTIONS(h.receive(chunk(ref, kChunk, kChunk)), {});
    CHECK_ACTIONS(h.deliver(2, ok(1)), {completed(1, "r")});
  }

  TEST_CASE("when one of two tasks with equal results is cancelled, the holder of the other one is asked") {
    Harness h;
    h.running_tasks(2);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = std::uint64_t{kChunk} * 9};
    wire::BlobRef other = ref;
    other.holder = uuid(8);
    h.deliver(1, ok_blob(1, ref));
    h.deliver(2, ok_blob(2, other));
    CHECK_ACTIONS(h.step(CancelTasks{{1}}),
                  {cancelled(1), Send{wire::Drop{uuid(9), ref.id}}, CancelsSettled{{1}}});
    CHECK(h.receive(chunk(ref, 0, kChunk)).back() == get(other, std::uint64_t{kChunk} * 8, kChunk));
  }

  TEST_CASE("a lost result is announced once more when the connection breaks") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    h.deliver(1, ok_blob(1, ref));
    h.receive(chunk(ref, 0, 100'000));
    const Actions corrupt = h.step(BlobBad{ref.id, "it arrived damaged"});
    REQUIRE(corrupt.size() == 2);
    CHECK(std::get<wire::Reannounce>(std::get<Send>(corrupt[1]).message).tasks[0].seq == 1);
    h.step(LinkDown{"x"});
    const Actions actions = h.join(5, true, 1);
    CHECK(actions[0] == Action(Send{wire::Define{1, spec("f")}}));
    CHECK(std::get<wire::Reannounce>(std::get<Send>(actions[1]).message).tasks[0].seq == 1);
  }

  TEST_CASE("a pull goes on under a new epoch, and the task is not announced again") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    h.deliver(1, ok_blob(1, ref));
    h.step(LinkDown{"x"});
    CHECK_ACTIONS(h.join(6), {Log{Log::Level::warning, "the broker at tcp://broker:8786 is back"},
                              get(ref, 0, 100'000), Send{wire::Synced{}}});
  }

  TEST_CASE("a holder that was away has its whole time again when the broker has been away") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    h.deliver(1, ok_blob(1, ref));
    h.receive(wire::Gone{ref.id, "away"});
    h.step(LinkDown{"x"});
    h.now += 60s;
    h.join(6);
    CHECK_ACTIONS(h.receive(wire::Gone{ref.id, "not yet"}), {});  // it may be on its way back as well
  }

  TEST_CASE("equal results are pulled once, and each holder hears that it is done") {
    Harness h;
    h.running_tasks(2);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    wire::BlobRef other = ref;
    other.holder = uuid(8);
    h.deliver(1, ok_blob(1, ref));
    CHECK_ACTIONS(h.deliver(2, ok_blob(2, other)), {});
    h.receive(chunk(ref, 0, 100'000));
    CHECK_ACTIONS(h.step(BlobReady{ref.id}),
                  {Send{wire::Drop{uuid(9), ref.id}}, Complete{{{.seq = 1, .payload = wire::Payload(ref)}}},
                   Send{wire::Drop{uuid(8), ref.id}},
                   Complete{{{.seq = 2, .takes_blob = true, .payload = wire::Payload(other)}}}});
  }

  TEST_CASE("cancelling a task that is being pulled drops it") {
    Harness h;
    h.running_tasks(1);
    const wire::BlobRef ref{.holder = uuid(9), .id = blob_id(3), .size = 100'000};
    h.deliver(1, ok_blob(1, ref));
    CHECK_ACTIONS(h.step(CancelTasks{{1}}),
                  {cancelled(1), DropBlob{ref.id}, Send{wire::Drop{uuid(9), ref.id}}, CancelsSettled{{1}}});
    CHECK(h.session.open_tasks() == 0);
    CHECK_ACTIONS(h.receive(chunk(ref, 0, 100'000)), {});
  }

  TEST_CASE("arguments are served, and released with the task's end") {
    Harness h;
    h.define();
    h.join();
    const wire::BlobRef ref{.holder = uuid(1), .id = blob_id(4), .size = 100'000};
    h.submit({{.seq = 1, .spec = 1, .payload = wire::Payload(ref)}});
    const wire::Get asked{.holder = uuid(1), .id = blob_id(4), .offset = 0, .bytes = 100'000};
    CHECK_ACTIONS(h.receive(asked), {ServeChunk{asked}});
    CHECK_ACTIONS(h.deliver(1, ok(1)), {completed(1, "r"), ReleaseArgument{blob_id(4)}});
  }
}

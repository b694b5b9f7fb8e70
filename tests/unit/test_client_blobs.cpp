// SPDX-License-Identifier: MIT
// Large results and arguments of the client core.
#include "tests/unit/client_harness.hpp"

using namespace weft;
using namespace weft::client;
using namespace weft::client::test;

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
    const auto live = [&](Duration duration) {  // the broker sends heartbeats
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
    CHECK(actions[1] == Action(Notify{Notice{.kind = NoticeKind::result_lost,
                                             .detail = "its holder does not answer",
                                             .task = {uuid(1), 1},
                                             .numbers = {1}}}));
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
    REQUIRE(corrupt.size() == 3);
    CHECK(corrupt[1] ==
          Action(Send{wire::Ack{1}}));  // the broker ignores a task whose answer has not arrived
    CHECK(std::get<wire::Reannounce>(std::get<Send>(corrupt[2]).message).tasks[0].seq == 1);
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
    CHECK_ACTIONS(h.join(6), {Notify{Notice{.kind = NoticeKind::broker_back, .name = kBroker}},
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
    CHECK_ACTIONS(h.receive(wire::Gone{ref.id, "not yet"}), {});  // the holder may reconnect, too
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

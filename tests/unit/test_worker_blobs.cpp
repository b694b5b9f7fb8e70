// SPDX-License-Identifier: MIT
// Blobs in worker::WorkerCore: programs and arguments that it fetches, results that it stores.
#include "worker_harness.hpp"

namespace weft::worker {

TEST_SUITE_BEGIN("worker blobs");

namespace {

constexpr std::uint64_t kChunk = wire::kChunkBytes;
const BlobId kFile = id_of<32>(1);

Action get(std::uint64_t offset, std::uint64_t bytes, const BlobId& id = kFile, const Uuid& holder = kAda) {
  return Send{wire::Get{holder, id, offset, static_cast<std::uint32_t>(bytes)}};
}

wire::TaskSpec big_program() {
  auto spec = program_spec(1);
  spec.program.size = 10 * kChunk + 5;
  return spec;
}

Bytes chunk(std::uint64_t size = kChunk) { return Bytes(std::string(size, 'x')); }

}  // namespace

TEST_CASE("a program that is in the cache is not fetched") {
  Joined h;
  h.define(program_spec(1), 2);
  CHECK(h.take() == Actions{FindBlob{kFile, 1000, "program1"}});
  h.assign(1, 1, 2);
  CHECK(h.take() == Actions{});
  h.event(BlobReady{kFile});
  CHECK(h.take() == Actions{h.start(1, 0, program_spec(1))});
}

TEST_CASE("a program is fetched in a window of chunks, oldest first, and checked before anything runs it") {
  Joined h;
  h.define(big_program(), 2);
  h.assign(1, 1, 2);
  h.event(BlobMissing{kFile});
  Actions expected{FindBlob{kFile, 10 * kChunk + 5, "program1"}};
  for (std::uint64_t i = 0; i < 8; ++i) expected.push_back(get(i * kChunk, kChunk));
  CHECK(h.take() == expected);

  h.receive(wire::Data{kFile, kChunk, chunk()});
  CHECK(h.take() == Actions{StoreChunk{kFile, 10 * kChunk + 5, kChunk, chunk()}, get(8 * kChunk, kChunk)});
  h.receive(wire::Data{kFile, kChunk, chunk()});        // twice
  h.receive(wire::Data{kFile, 2 * kChunk, chunk(9)});   // too short
  h.receive(wire::Data{kFile, 10 * kChunk, chunk(5)});  // not asked for
  h.receive(wire::Data{kFile, 99 * kChunk, chunk()});   // outside of the blob
  h.receive(wire::Data{id_of<32>(9), 0, chunk()});      // of another blob
  CHECK(h.take() == Actions{});

  for (const std::uint64_t i : {0u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u})
    h.receive(wire::Data{kFile, i * kChunk, chunk()});
  h.expect<StoreChunk, wire::Get>();
  h.receive(wire::Data{kFile, 10 * kChunk, chunk(5)});
  CHECK(h.take() == Actions{StoreChunk{kFile, 10 * kChunk + 5, 10 * kChunk, chunk(5)},
                            VerifyBlob{kFile, 10 * kChunk + 5}});
  h.event(BlobReady{kFile});
  CHECK(h.take() == Actions{h.start(1, 0, big_program())});
}

TEST_CASE("a program with the wrong hash fails its tasks; a later task tries again") {
  Joined h;
  h.define(program_spec(1), 2);
  h.assign(1, 1, 2);
  h.event(BlobMissing{kFile});
  h.receive(wire::Data{kFile, 0, chunk(1000)});
  h.expect<FindBlob, StoreChunk, VerifyBlob, wire::Get>();
  h.event(BlobBad{kFile, "its hash differs"});
  CHECK(h.take_error(1, wire::Outcome::not_fetched).message ==
        "its program could not be fetched: its hash differs");
  h.assign(2, 2, 2);
  CHECK(h.take() == Actions{FindBlob{kFile, 1000, "program1"}});
}

TEST_CASE("a blob whose holder is gone is asked for again, and given up after five seconds") {
  Joined h;
  h.define(program_spec(1), 2);
  h.assign(1, 1, 2);
  h.event(BlobMissing{kFile});
  h.expect<FindBlob, wire::Get>();
  h.receive(wire::Gone{kFile, "its holder has left"});
  for (int i = 0; i < 5; ++i) {
    CHECK(h.take() == Actions{});
    h.advance(milliseconds(999));
    CHECK(h.take() == Actions{});
    h.advance(milliseconds(1));
    CHECK(h.take() == Actions{get(0, 1000)});
    h.receive(wire::Gone{kFile, "its holder has left"});
  }
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  CHECK(actions[0] == Action(DropBlob{kFile}));
  CHECK(h.error_in(actions[1], 1, wire::Outcome::not_fetched).message ==
        "its program could not be fetched: its holder has left");
}

TEST_CASE("when one client that ships a program leaves, the other one is asked") {
  Joined h;
  h.define(program_spec(1), 2);
  h.define(program_spec(1), 1, kBob);
  h.event(BlobMissing{kFile});
  CHECK(h.take() == Actions{FindBlob{kFile, 1000, "program1"}, get(0, 1000)});
  h.receive(wire::Gone{kFile, "its holder has left"});
  h.advance(seconds(1));
  CHECK(h.take() == Actions{get(0, 1000, kFile, kBob)});
}

TEST_CASE("what was asked for is asked for again of the next broker, and what is stored is not") {
  Joined h;
  auto spec = program_spec(1);
  spec.program.size = 2 * kChunk;
  h.define(spec, 2);
  h.assign(1, 1, 2);
  h.event(BlobMissing{kFile});
  h.receive(wire::Data{kFile, 0, chunk()});
  h.expect<FindBlob, StoreChunk, wire::Get>();
  h.event(LinkDown{"broke"});
  h.join(8);
  CHECK(h.take() == Actions{Send{wire::Claims{kAda, {{1, {kEpoch, 101}, wire::ClaimState::queued}}}},
                            Send{wire::Ready{}}, get(kChunk, kChunk)});
}

TEST_CASE("a task with a large argument waits for it, and others do not wait for that task") {
  Joined h;
  const BlobId argument = id_of<32>(5);
  auto record = h.record(1);
  record.payload = wire::Payload(wire::BlobRef{kAda, argument, 70'000});
  h.receive(wire::Assign{kAda, {record, h.record(2)}});
  CHECK(h.take() == Actions{FindBlob{argument, 70'000, ""}, h.start(1)});
  h.ready(1);
  CHECK(h.take() == Actions{h.run(1, 1, 2)});
  h.event(BlobMissing{argument});
  CHECK(h.take() == Actions{get(0, 70'000, argument)});
  h.receive(wire::Data{argument, 0, chunk(70'000)});
  h.event(BlobReady{argument});
  h.expect<StoreChunk, VerifyBlob>();
  SUBCASE("it runs") {
    h.finished(1, 1);
    const Actions actions = h.take();
    REQUIRE(actions.size() == 2);
    CHECK(std::get<RunTask>(actions[1]).payload == record.payload);
    h.finished(1, 2);
    CHECK(h.take() == Actions{h.result(2, 1)});
    // Retained for the next task that needs it.
    record.seq = 3;
    record.number = 103;
    h.receive(wire::Assign{kAda, {record}});
    CHECK(h.take().size() == 1);
  }
}

TEST_CASE("a task that is cancelled while it waits for its argument ends the fetching") {
  Joined h;
  const BlobId argument = id_of<32>(5);
  auto record = h.record(1);
  record.payload = wire::Payload(wire::BlobRef{kAda, argument, 70'000});
  h.receive(wire::Assign{kAda, {record}});
  h.event(BlobMissing{argument});
  h.expect<FindBlob, wire::Get>();
  h.revoke(1);
  const Actions actions = h.take();
  REQUIRE(actions.size() == 2);
  CHECK(actions[0] == Action(DropBlob{argument}));
  h.error_in(actions[1], 1, wire::Outcome::cancelled);
  h.receive(wire::Data{argument, 0, chunk(70'000)});
  CHECK(h.take() == Actions{});
}

TEST_CASE("large arguments that nobody needs are kept within a budget") {
  auto settings = settings_of(1);
  settings.blobs.recent_bytes_max = 100'000;
  Joined h(settings);
  for (std::uint8_t i = 1; i <= 2; ++i) {
    const BlobId argument = id_of<32>(i);
    auto record = h.record(i);
    record.payload = wire::Payload(wire::BlobRef{kAda, argument, 70'000});
    h.receive(wire::Assign{kAda, {record}});
    h.event(BlobReady{argument});
    if (i == 1) h.ready(1);
    h.expect_only<StartRunner, RunTask, FindBlob, wire::Results>();
    h.finished(1, i);
  }
  CHECK(h.take() == Actions{DropBlob{id_of<32>(1)}, h.result(2, 2)});
}

TEST_CASE("a large result is served until it is dropped") {
  Joined h;
  const BlobId id = id_of<32>(6);
  h.running(1);
  h.event(TaskFinished{1, 1, wire::Outcome::ok, 9000, wire::Payload(wire::BlobRef{kWorker, id, kChunk + 7}),
                       5000});
  h.expect<wire::Results>();
  h.receive(wire::Release{kAda, 1});
  const wire::Get first{kWorker, id, 0, kChunk};
  const wire::Get second{kWorker, id, kChunk, 7};
  h.receive(first);
  h.receive(second);
  CHECK(h.take() == Actions{ServeChunk{first}, ServeChunk{second}});
  h.receive(wire::Get{kWorker, id, kChunk, 8});
  CHECK(h.take() == Actions{Send{wire::Gone{id, "the blob has no such range"}}});

  h.event(LinkDown{"broke"});  // the next broker must know of the result, to say END_SESSION in time
  h.join(8);
  CHECK(h.take() == Actions{Send{wire::Claims{kAda, {}}}, Send{wire::Ready{}}});
  SUBCASE("dropped") { h.receive(wire::Drop{kWorker, id}); }
  SUBCASE("its session has ended") { h.receive(wire::EndSession{kAda}); }
  CHECK(h.take() == Actions{DropBlob{id}});
  h.receive(wire::Get{kWorker, id, 0, kChunk});
  CHECK(h.take() == Actions{Send{wire::Gone{id, "the worker no longer has this result"}}});
}

TEST_CASE("a large result that nobody wants is not kept") {
  Joined h;
  const BlobId id = id_of<32>(6);
  h.running(1);
  h.receive(wire::EndSession{kAda});
  h.expect<RequestStop>();
  h.event(
      TaskFinished{1, 1, wire::Outcome::ok, 9000, wire::Payload(wire::BlobRef{kWorker, id, kChunk}), 5000});
  CHECK(h.take() == Actions{h.returned(1), DropBlob{id}});
}

TEST_CASE("two tasks that made the same bytes share them until both are dropped") {
  Joined h;
  const wire::BlobRef ref{kWorker, id_of<32>(6), kChunk};
  h.assign(1, 2);
  h.ready(1);
  h.event(TaskFinished{1, 1, wire::Outcome::ok, 9000, wire::Payload(ref), 5000});
  h.event(TaskFinished{1, 2, wire::Outcome::ok, 9000, wire::Payload(ref), 5000});
  h.expect<StartRunner, RunTask, wire::Results>();
  h.receive(wire::Drop{kWorker, ref.id});
  CHECK(h.take() == Actions{});
  h.receive(wire::Drop{kWorker, ref.id});
  CHECK(h.take() == Actions{DropBlob{ref.id}});
}

TEST_SUITE_END();

}  // namespace weft::worker

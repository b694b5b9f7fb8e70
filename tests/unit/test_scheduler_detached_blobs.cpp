// SPDX-License-Identifier: MIT
// Programs, arguments and results of detached tasks, which the broker stores. PROTOCOL.md section 8.
#include "tests/unit/detached_stage.hpp"

namespace weft::broker {

TEST_SUITE("scheduler, detached: blobs") {
  TEST_CASE("a large result that is said again while it is fetched is not dropped by its worker") {
    Stage s;
    s.accept();
    const wire::BlobRef result{s.worker.incarnation, blob_id(9), 100};
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    const auto say_result = [&] {
      s.h.say(s.worker, wire::Results{s.client.session,
                                      attempt.epoch,
                                      true,
                                      1,
                                      {{1, attempt.number, 1000, Outcome::ok, wire::Payload(result)}}});
    };
    say_result();
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::Get{s.worker.incarnation, blob_id(9), 0, 100})});
    s.h.disconnect(s.worker);
    s.h.advance(1s);  // it is lost
    s.h.hello(s.worker, {.slots = 4});
    s.h.claims(s.worker, s.client, {{1, attempt, wire::ClaimState::done, 1}});
    s.h.ready(s.worker);
    s.h.expect<wire::Welcome, ForgetPeer>();
    say_result();
    for (const Action& action : s.h.take()) {
      const auto* sent = std::get_if<Send>(&action);
      CHECK(!(sent != nullptr && std::holds_alternative<wire::Drop>(sent->message)));
    }
  }

  TEST_CASE("when a large result is lost while it is fetched, that of another attempt is fetched instead") {
    Stage s;
    s.accept();
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);
    TestWorker other{uuid(103), "other"};
    n.h.hello(other);
    n.h.claims(other, s.client, {{1, second, wire::ClaimState::done, 1}});
    n.h.ready(other);
    n.worker_comes(s.client, {{1, first, wire::ClaimState::done, 1}});
    const wire::BlobRef lost{n.worker.incarnation, blob_id(9), 100};
    const wire::BlobRef spare{other.incarnation, blob_id(9), 100};
    const auto results = [&](const wire::Attempt& attempt, const wire::BlobRef& result) {
      return wire::Results{s.client.session,
                           attempt.epoch,
                           true,
                           1,
                           {{1, attempt.number, 1000, Outcome::ok, wire::Payload(result)}}};
    };
    n.h.say(n.worker, results(first, lost));
    CHECK(n.h.take() == Actions{n.h.revoke(other, s.client, 1, second.number),
                                n.h.to(n.worker, wire::Get{lost.holder, lost.id, 0, 100})});
    n.h.say(other, results(second, spare));
    n.h.say(other, results(second, spare));  // once more
    CHECK(n.h.take() == Actions{});
    const auto fails = [&](const TestWorker& holder) {
      for (int tries = 0; tries < 5; ++tries) {
        n.h.say(holder, wire::Gone{blob_id(9), "it is not here"});
        n.h.advance(1s);
      }
    };
    SUBCASE("it is kept") {
      n.h.say(n.worker, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
      n.h.step(BlobReady{blob_id(9)});
      CHECK(n.h.take() == Actions{n.h.to(other, wire::Drop{spare.holder, spare.id})});
    }
    SUBCASE("it is lost") {
      fails(n.worker);
      CHECK(n.h.take().back() == Action(n.h.to(other, wire::Get{spare.holder, spare.id, 0, 100})));
      SUBCASE("the spare is kept") {
        n.h.say(other, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
        n.h.step(BlobReady{blob_id(9)});
        n.h.commit();
        n.attach(s.client, 1);
        CHECK(n.h.take().back() ==
              Action(n.h.deliver(n.client, 1,
                                 {{1, wire::DeliveryKind::final, Outcome::ok, 0, 0,
                                   wire::Payload(wire::BlobRef{wire::kJournalHolder, blob_id(9), 100})}})));
      }
      SUBCASE("the spare is lost too") {
        fails(other);
        CHECK(n.h.assigned(n.worker, s.client).size() + n.h.assigned(other, s.client).size() == 1);
        n.h.expect<wire::DefineFor, wire::Assign, wire::Get>();
      }
    }
  }

  TEST_CASE("a session ends though the results of two attempts come in one message") {
    Stage s;
    s.accept();
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};
    Next n(s);
    n.worker_comes(s.client, {{1, first, wire::ClaimState::done, 1}, {1, second, wire::ClaimState::done, 1}});
    const wire::Payload result(wire::BlobRef{n.worker.incarnation, blob_id(9), 100});
    n.h.say(n.worker, wire::Results{s.client.session,
                                    first.epoch,
                                    true,
                                    1,
                                    {{1, first.number, 1000, Outcome::ok, result},
                                     {1, second.number, 1000, Outcome::ok, result}}});
    n.h.say(n.worker, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
    n.h.step(BlobReady{blob_id(9)});
    n.h.commit();
    n.attach(s.client, 1);
    n.h.say(n.client, wire::Fetched{{{s.client.session, 1}}});
    n.h.expect<wire::Received, wire::Revoke, wire::Deliver, wire::Release, wire::Get, wire::Drop>();
    n.h.advance(2min);  // its client does not come back
    const Actions actions = n.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(n.h.to(n.worker, wire::EndSession{s.client.session}))) == 1);
  }

  TEST_CASE("a task that may be started once is not made again when its result is lost") {
    Stage s;
    wire::TaskSpec once = detached_spec();
    once.crash_limit = 1;
    s.accept(once);
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    s.h.say(s.worker, wire::Results{s.client.session,
                                    attempt.epoch,
                                    true,
                                    1,
                                    {{1, attempt.number, 1000, Outcome::ok,
                                      wire::Payload(wire::BlobRef{s.worker.incarnation, blob_id(9), 100})}}});
    for (int tries = 0; tries < 5; ++tries) {
      s.h.say(s.worker, wire::Gone{blob_id(9), "it is not here"});
      s.h.advance(1s);
    }
    s.h.commit();
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{1});
    CHECK(s.h.status().queued + s.h.status().assigned == 0);
    CHECK(s.h.noticed(NoticeKind::result_lost, "it is not here") == 1);
    s.h.expect<wire::Deliver, wire::Release, wire::Get>();
  }

  TEST_CASE("a large result stays with its worker until the journal has the answer") {
    Stage s;
    s.accept();
    const wire::BlobRef result{s.worker.incarnation, blob_id(9), 100};
    const wire::Attempt attempt = s.h.attempt(s.worker, s.client, 1);
    s.h.say(s.worker, wire::Results{s.client.session,
                                    attempt.epoch,
                                    true,
                                    1,
                                    {{1, attempt.number, 1000, Outcome::ok, wire::Payload(result)}}});
    s.h.say(s.worker, wire::Data{blob_id(9), 0, Bytes(std::string(100, 'r'))});
    s.h.expect<wire::Get>();
    s.h.step(BlobReady{blob_id(9)});
    CHECK(s.h.take() == Actions{});
    s.h.commit();
    const Actions actions = s.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(s.h.to(s.worker, wire::Drop{s.worker.incarnation, blob_id(9)}))) == 1);
  }

  TEST_CASE("a result that waits for its session behind those of unknown tasks is not made again meanwhile") {
    Stage s;
    s.accept(retried_spec(1));
    const wire::Attempt first = s.h.attempt(s.worker, s.client, 1);
    const wire::Attempt second{first.epoch, first.number + 1};  // assigned, but not in the journal
    Next n(s);
    TestWorker other{uuid(103), "other"};
    const auto other_comes = [&] {
      n.h.hello(other);
      n.h.claims(other, s.client,
                 {{9, {first.epoch, 5}, wire::ClaimState::done, 1}, {1, second, wire::ClaimState::done, 2}});
      n.h.ready(other);
    };
    const auto failure_comes = [&] { n.h.result(n.worker, s.client, 1, Outcome::failed, "no", 1000, first); };
    n.worker_comes(s.client, {{1, first, wire::ClaimState::done, 1}});
    SUBCASE("the failure of the attempt before it comes first") {
      failure_comes();
      other_comes();
    }
    SUBCASE("the failure of the attempt before it comes last") {
      other_comes();
      failure_comes();
    }
    const wire::Results results{
        s.client.session,
        first.epoch,
        true,
        1,
        {{9, 5, 1000, Outcome::ok, wire::Payload(std::string_view("unknown"))},
         {1, second.number, 1000, Outcome::ok, wire::Payload(std::string_view("ok"))}}};
    n.h.say(other, results);
    n.h.commit();
    n.h.expect<wire::Welcome>();
    n.h.advance(63'999ms);  // the adoption window, and the minute that an absent client is waited for
    CHECK(n.h.assigned(n.worker, s.client).empty());
    CHECK(n.h.assigned(other, s.client).empty());
    n.h.advance(1ms);
    CHECK(n.h.take() ==
          Actions{n.h.release(n.worker, s.client, 1), n.h.to(other, wire::Resend{s.client.session})});
    n.h.say(other, results);
    n.h.commit();
    CHECK(n.h.take() == Actions{n.h.release(other, s.client, 1), n.h.release(other, s.client, 2)});
    n.attach(s.client, 1);
    CHECK(n.h.take() ==
          Actions{n.h.received(n.client, 1), n.h.deliver(n.client, 1,
                                                         {{1, wire::DeliveryKind::charged, Outcome::failed, 1,
                                                           0, wire::Payload(std::string_view("no"))},
                                                          {1, wire::DeliveryKind::final, Outcome::ok, 1, 0,
                                                           wire::Payload(std::string_view("ok"))}})});
  }

  TEST_CASE("a program that was asked of a client which left detached tasks is asked of another client") {
    Stage s;
    s.accept();
    wire::TaskSpec spec = program_spec(7);
    spec.detach = true;
    s.h.define(s.client, 2, spec);
    s.h.submit(s.client, 2);
    s.h.expect<wire::Received, wire::Get>();
    TestClient other = s.h.join_client("other");
    s.h.define(other, 1, program_spec(7));
    s.h.say(s.worker, wire::Get{other.session, blob_id(7), 0, 1000});
    s.h.say(s.client, wire::Goodbye{""});
    const Actions actions = s.h.take();
    CHECK(std::count(actions.begin(), actions.end(),
                     Action(s.h.to(other, wire::Get{other.session, blob_id(7), 0, 1000}))) == 1);
  }

  TEST_CASE("programs and large arguments are in the folder before the task is promised, and go with it") {
    Stage s;
    wire::TaskSpec spec = program_spec(7);
    spec.detach = true;
    s.h.define(s.client, 2, spec);
    const wire::BlobRef argument{s.client.session, blob_id(8), 100};
    s.h.say(s.client, wire::Submit{{{1, 2, wire::Payload(argument)}}});
    s.client.next_seq = 2;
    CHECK(s.h.take() == Actions{s.h.received(s.client, 1),
                                s.h.to(s.client, wire::Get{s.client.session, blob_id(7), 0, 1000}),
                                s.h.to(s.client, wire::Get{s.client.session, blob_id(8), 0, 100})});
    s.h.say(s.client, wire::Data{blob_id(8), 0, Bytes(std::string(100, 'a'))});
    s.h.commit();
    CHECK(s.h.take() == Actions{});
    s.h.say(s.client, wire::Data{blob_id(7), 0, Bytes(std::string(1000, 'p'))});
    s.h.commit();
    CHECK(s.h.disk().blobs == std::set<BlobId>{blob_id(7), blob_id(8)});
    CHECK(s.h.assigned(s.worker, s.client) == Seqs{1});
    s.h.expect<wire::Journaled, wire::DefineFor, wire::Assign>();
    s.h.say(s.client, wire::Goodbye{""});
    s.h.expect<ForgetPeer>();
    s.h.say(s.worker, wire::Get{s.client.session, blob_id(8), 0, 100});
    CHECK(s.h.take() == Actions{broker::ServeChunk{s.worker.peer, {s.client.session, blob_id(8), 0, 100}}});

    Next n(s);
    CHECK(n.h.disk().blobs.size() == 2);
    n.worker_comes(s.client, {});
    n.h.advance(65s);  // the deadline for the return of its client is over
    CHECK(n.h.assigned(n.worker, s.client) == Seqs{1});
    n.h.result(n.worker, s.client, 1);
    n.h.commit();
    n.attach(s.client, 1);
    n.h.say(n.client, wire::Fetched{{{s.client.session, 1}}});
    n.h.commit();
    CHECK(n.h.disk().blobs.empty());
    n.h.expect<wire::Received, wire::DefineFor, wire::Assign, wire::Deliver, wire::Release,
               wire::EndSession>();
  }

  TEST_CASE("what cannot be fetched or kept refuses the task, and the client hears why") {
    Stage s;
    s.h.say(s.client,
            wire::Submit{{{1, 1, wire::Payload(wire::BlobRef{s.client.session, blob_id(8), 100})}}});
    for (int i = 0; i < 5; ++i) {
      s.h.say(s.client, wire::Data{blob_id(8), 0, Bytes(std::string(100, 'a'))});
      s.h.expect_only<wire::Received, wire::Get>();
      s.h.commit("no space is left on the device");
      if (i < 4) s.h.advance(1s);
    }
    CHECK(refusal(s.h.take(), 1) == "what it needs cannot be kept: no space is left on the device");
    CHECK(s.h.status().queued == 0);
    CHECK(s.h.disk().blobs.empty());
  }

  TEST_CASE("a large result is brought to the folder before it counts, and made again when it is lost") {
    Stage s;
    s.accept();
    const wire::BlobRef there{s.worker.incarnation, blob_id(9), 10};
    const auto finish = [&](std::uint64_t outbox, bool fresh) {
      s.h.say(s.worker, wire::Results{s.client.session,
                                      kEpoch,
                                      fresh,
                                      outbox,
                                      {{1, s.h.attempt(s.worker, s.client, 1).number, 1000, Outcome::ok,
                                        wire::Payload(there)}}});
    };
    finish(1, true);
    CHECK(s.h.take() == Actions{s.h.to(s.worker, wire::Get{s.worker.incarnation, blob_id(9), 0, 10})});
    SUBCASE("it comes") {
      s.h.say(s.worker, wire::Data{blob_id(9), 0, Bytes(std::string(10, 'r'))});
      s.h.commit();
      const wire::BlobRef here{wire::kJournalHolder, blob_id(9), 10};
      CHECK(s.h.take() ==
            Actions{s.h.to(s.worker, wire::Drop{s.worker.incarnation, blob_id(9)}),
                    s.h.release(s.worker, s.client, 1),
                    s.h.deliver(s.client, 1,
                                {{1, wire::DeliveryKind::final, Outcome::ok, 0, 0, wire::Payload(here)}})});
      s.h.ack(s.client, 1);
      s.h.commit();
      CHECK(s.h.disk().blobs.size() == 1);  // the client is only about to fetch the bytes
      s.h.say(s.client, wire::Get{wire::kJournalHolder, blob_id(9), 0, 10});
      s.h.say(s.client, wire::Drop{wire::kJournalHolder, blob_id(9)});
      s.h.commit();
      CHECK(s.h.disk().blobs.size() == 1);
      s.fetched(1);
      s.h.commit();
      CHECK(s.h.disk().blobs.empty());
      CHECK(s.find().tasks.empty());
    }
    SUBCASE("it is lost") {
      for (int i = 0; i < 5; ++i) {
        s.h.say(s.worker, wire::Gone{blob_id(9), "it was dropped"});
        s.h.advance(1s);
      }
      CHECK(s.h.assigned(s.worker, s.client) == Seqs{1, 1});
      s.worker.outbox[s.client.session] = 1;
      s.worker.begun.insert(s.client.session);
      s.h.result(s.worker, s.client, 1);
      s.h.commit();
      s.fetched(1);
      s.h.commit();
      CHECK(s.find().tasks.empty());
    }
  }
}

}  // namespace weft::broker

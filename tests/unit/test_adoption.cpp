// SPDX-License-Identifier: MIT
// Adoption alone: table E, claims that wait for their task, awaited sessions, zombie attempts. The tables A
// to D are read from PROTOCOL.md by test_ready_table.cpp.
#include "broker/scheduler/adoption.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;
using wire::ClaimState;

namespace {

struct Stage : Parts {
  FairQueue& fair_queue = tables.fair_queue;
  Placer& placer = tables.placer;
  Adoption& adoption = tables.adoption;
  Worker& one = add_worker(1, 2);
  Worker& two = add_worker(2, 2);
  const Uuid session = uuid(9);

  Stage() { one.peer = 11; }
};

wire::ClaimRecord claim(std::uint64_t epoch, std::uint64_t number, ClaimState state,
                        std::uint32_t execution = 1) {
  return {7, {epoch, number}, state, execution};
}

}  // namespace

TEST_SUITE("adoption") {
  TEST_CASE("the window is open until it has passed") {
    Stage s;
    s.adoption.open_window();
    s.advance(s.settings.adoption_window - Duration(1));
    CHECK(s.adoption.window_is_open());
    s.advance(Duration(1));
    CHECK_FALSE(s.adoption.window_is_open());
  }

  TEST_CASE("the running one of two claims is the later, then the higher number, then the higher execution") {
    Stage s;
    const auto later = [&](const wire::ClaimRecord& a, const wire::ClaimRecord& b) {
      return Adoption::is_later({&s.one, a}, {&s.two, b});
    };
    CHECK(later(claim(1, 1, ClaimState::running), claim(1, 2, ClaimState::done)));
    CHECK_FALSE(later(claim(1, 2, ClaimState::done), claim(1, 1, ClaimState::running)));
    CHECK(later(claim(1, 2, ClaimState::queued), claim(1, 1, ClaimState::running)));
    CHECK(later(claim(1, 1, ClaimState::done, 3), claim(2, 9, ClaimState::done, 2)));
    CHECK(later(claim(1, 1, ClaimState::running, 2), claim(2, 9, ClaimState::queued, 2)));
    CHECK_FALSE(later(claim(2, 9, ClaimState::queued, 2), claim(1, 1, ClaimState::running, 2)));
  }

  TEST_CASE("of two claims for a task that is not announced the later is kept, and the other is stopped") {
    Stage s;
    s.adoption.keep_claim(s.one, s.session, claim(1, 1, ClaimState::queued));
    s.adoption.keep_claim(s.two, s.session, claim(1, 2, ClaimState::running));
    CHECK(s.actions == Actions{Send{11, wire::Revoke{s.session, wire::RevokeMode::cancel, {{7, {1, 1}}}}}});
    CHECK(s.one.zombies->size() == 1);
    CHECK(s.two.zombies->size() == 1);  // until its task is announced
    const auto kept = s.adoption.take_claim({s.session, 7});
    REQUIRE(kept);
    CHECK(kept->worker == &s.two);
    CHECK_FALSE(s.adoption.take_claim({s.session, 7}));
  }

  TEST_CASE("a claim goes with its worker, with its session, or when the attempt is given back") {
    Stage s;
    const auto keep = [&] { s.adoption.keep_claim(s.one, s.session, claim(1, 1, ClaimState::done)); };
    keep();
    s.adoption.forget_claims_of(s.two);
    s.adoption.forget_claims_of(uuid(8));
    s.adoption.forget_claim(s.one, {s.session, 7}, {1, 2});
    s.adoption.forget_claim(s.two, {s.session, 7}, {1, 1});
    CHECK(s.adoption.take_claim({s.session, 7}));
    keep();
    s.adoption.forget_claims_of(s.one);
    CHECK_FALSE(s.adoption.take_claim({s.session, 7}));
    keep();
    s.adoption.forget_claims_of(s.session);
    CHECK_FALSE(s.adoption.take_claim({s.session, 7}));
    keep();
    s.adoption.forget_claim(s.one, {s.session, 7}, {1, 1});
    CHECK_FALSE(s.adoption.take_claim({s.session, 7}));
  }

  TEST_CASE("a session whose client does not come is given up, unless the wait was renewed") {
    Stage s;
    s.adoption.await_session(s.session);
    const Duration wait = s.settings.adoption_window + s.settings.patience(Session{}.give_up);
    s.advance(wait - Duration(1));
    CHECK_FALSE(s.adoption.give_up(s.session));
    s.adoption.renew_awaited();
    s.advance(Duration(1));
    CHECK_FALSE(s.adoption.give_up(s.session));
    CHECK(s.adoption.is_awaited(s.session));
    s.advance(wait);
    CHECK(s.adoption.give_up(s.session));
    CHECK_FALSE(s.adoption.is_awaited(s.session));
  }

  TEST_CASE("a session that came is not given up") {
    Stage s;
    s.adoption.await_session(s.session);
    s.fair_queue.add(s.roster.add_session(s.session));
    s.advance(std::chrono::hours(1));
    CHECK_FALSE(s.adoption.give_up(s.session));
  }

  TEST_CASE("zombie attempts take slots, and keep a session that has announced all its tasks") {
    Stage s;
    Session& session = s.roster.add_session(s.session);
    s.fair_queue.add(session);
    s.placer.update(s.one);
    s.adoption.add_zombie(s.one, {s.session, 1}, {1, 1});
    s.adoption.add_zombie(s.one, {s.session, 2}, {1, 2});
    CHECK(s.placer.none_open());
    CHECK_FALSE(s.adoption.has_zombies(session));  // END_SESSION will stop them
    session.synced = true;
    CHECK(s.adoption.has_zombies(session));
    s.adoption.remove_zombie(s.one, {s.session, 1}, {1, 1});
    s.placer.update(s.one);
    CHECK_FALSE(s.placer.none_open());
    CHECK(session.dirty);
    s.adoption.remove_zombies(s.one);
    CHECK_FALSE(s.adoption.has_zombies(session));
  }
}

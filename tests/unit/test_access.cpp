// SPDX-License-Identifier: MIT
// Identities in the scheduler: the table of roles and messages that is checked before a message is
// dispatched, and who owns which task, blob and session.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "broker/scheduler/access.hpp"
#include "scheduler_harness.hpp"
#include "wire_samples.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

IdentityPtr identity(const std::string& name, Roles roles) {
  return std::make_shared<const Identity>(Identity{name, roles});
}

/// A scheduler with peers that have identities.
struct Story {
  Harness h;
  PeerId next = 1000;

  /// Sends the message on a new connection.
  PeerId say(const IdentityPtr& who, wire::Message message) {
    say(who, next, std::move(message));
    return next++;
  }
  void say(const IdentityPtr& who, PeerId peer, wire::Message message) {
    h.step(Received{peer, std::move(message), wire::kMinor, who});
  }
  /// The text of the refusal, which must be the only answer to the last message.
  std::string refusal(wire::RefuseCode code = wire::RefuseCode::not_allowed) {
    const Actions actions = h.take();
    REQUIRE(actions.size() == 2);
    CHECK(std::holds_alternative<ForgetPeer>(actions[1]));
    const auto& refuse = std::get<wire::Refuse>(std::get<Send>(actions[0]).message);
    CHECK(refuse.code == code);
    return refuse.text;
  }
  /// The only message of this type among the actions since the last call.
  template <class M>
  M only_message() {
    std::vector<M> found;
    for (const Action& action : h.take()) {
      const auto* send = std::get_if<Send>(&action);
      if (send != nullptr && std::holds_alternative<M>(send->message))
        found.push_back(std::get<M>(send->message));
    }
    REQUIRE(found.size() == 1);
    return found.front();
  }
};

wire::HelloClient hello_of(std::uint8_t id, const std::string& name) {
  wire::HelloClient hello;
  hello.session = uuid(id);
  hello.name = name;
  hello.host = "host";
  return hello;
}

wire::HelloWorker worker_hello(std::uint8_t id, const std::string& name) {
  wire::HelloWorker hello;
  hello.incarnation = uuid(id);
  hello.name = name;
  hello.host = "host";
  hello.slots = 1;
  return hello;
}

const Roles kClient{Role::client};
const Roles kWorker{Role::worker};
const Roles kObserver{Role::observer};
const Roles kAdmin{Role::admin};

}  // namespace

TEST_SUITE("access") {
  TEST_CASE("the table of roles and messages") {
    struct Row {
      wire::Message message;
      bool client, worker, observer;
    };
    const std::vector<Row> rows = {
        {wire::HelloClient{}, true, false, false}, {wire::HelloWorker{}, false, true, false},
        {wire::Define{}, true, false, false},      {wire::Submit{}, true, false, false},
        {wire::Cancel{}, true, false, false},      {wire::Ack{}, true, false, false},
        {wire::Claims{}, false, true, false},      {wire::Results{}, false, true, false},
        {wire::Started{}, false, true, false},     {wire::Draining{}, false, true, false},
        {wire::Get{}, true, true, false},          {wire::Data{}, true, true, false},
        {wire::Heartbeat{}, true, true, false},    {wire::Goodbye{}, true, true, false},
        {wire::Find{}, true, false, true},         {wire::StatusRequest{}, true, true, true},
        {wire::Why{}, true, true, true},           {wire::DrainWorker{}, false, false, false},
    };
    for (const Row& row : rows) {
      CAPTURE(wire::describe(row.message));
      CHECK(may_send(kClient, row.message) == row.client);
      CHECK(may_send(kWorker, row.message) == row.worker);
      CHECK(may_send(kObserver, row.message) == row.observer);
      CHECK(may_send(kAdmin, row.message));
      CHECK_FALSE(may_send(Roles{}, row.message));
    }
  }

  TEST_CASE("anonymous connections may send everything") {
    for (const wire::Message& message : wire::one_of_each())
      CHECK(may_send(identity_of(nullptr).roles, message));
    CHECK(identity_of(nullptr).name.empty());
    CHECK(identity_of(nullptr).may_use("anybody"));
  }

  TEST_CASE("a message that the role may not send is refused before it does anything") {
    Story s;
    s.say(identity("eve", kObserver), hello_of(1, "eve"));
    CHECK(s.refusal().find("identity 'eve' may not send HelloClient") == 0);
    CHECK_FALSE(s.h.scheduler().has_session(uuid(1)));

    s.say(identity("bob", kClient), worker_hello(2, "w1"));
    CHECK(s.refusal().find("it needs the role worker, admin, and has client") != std::string::npos);
    CHECK(s.h.status().workers == 0);
  }

  TEST_CASE("draining a worker is for admins") {
    Story s;
    const TestWorker worker = s.h.join_worker("w1");
    s.say(identity("bob", kClient), wire::DrainWorker{"w1"});
    CHECK(s.refusal().find("identity 'bob' may not send DrainWorker") == 0);

    const PeerId asker = s.say(identity("root", kAdmin), wire::DrainWorker{"w1"});
    const Actions actions = s.h.take();
    REQUIRE(actions.size() == 3);
    CHECK(actions[0] == Action(Harness::to(worker, wire::Leave{})));
    CHECK(std::get<wire::Answer>(std::get<Send>(actions[1]).message).ok);
    CHECK(actions[2] == Action(ForgetPeer{asker}));
  }

  TEST_CASE("another identity cannot resume a session, an admin can") {
    Story s;
    const IdentityPtr alice = identity("alice", kClient);
    s.say(alice, hello_of(1, "a"));
    CHECK(s.only_message<wire::Welcome>().epoch == kEpoch);

    s.say(identity("bob", kClient), hello_of(1, "a"));
    CHECK(s.refusal() == "this session belongs to 'alice', not to 'bob'");
    CHECK(s.h.status().clients == 1);

    s.say(alice, hello_of(1, "a"));
    CHECK_FALSE(s.h.take().empty());
    s.say(identity("root", kAdmin), hello_of(1, "a"));
    CHECK(s.only_message<wire::Welcome>().epoch == kEpoch);
  }

  TEST_CASE("another identity cannot take the name of a worker, not even of a lost one") {
    Story s;
    const IdentityPtr alice = identity("alice", kWorker);
    const PeerId first = s.say(alice, worker_hello(1, "w1"));
    s.say(alice, first, wire::Ready{});
    CHECK_FALSE(s.h.take().empty());
    s.h.step(PeerGone{first, true});
    CHECK(s.h.take() == Actions{ForgetPeer{first}});

    s.say(identity("bob", kWorker), worker_hello(2, "w1"));
    CHECK(s.refusal(wire::RefuseCode::name_taken) ==
          "worker 'w1' belongs to 'alice': give this one another --name");

    s.say(alice, worker_hello(3, "w1"));
    CHECK(s.only_message<wire::Welcome>().epoch == kEpoch);
  }

  TEST_CASE("detached tasks are found and attached to by their owner alone, over a restart too") {
    Settings settings = test_settings();
    settings.journal = true;
    TestDisk disk;
    const IdentityPtr alice = identity("alice", kClient);
    const IdentityPtr bob = identity("bob", kClient);
    const auto find = [](Story& s, const IdentityPtr& who) {
      s.say(who, wire::Find{.label = "sweep"});
      return s.only_message<wire::Found>().tasks;
    };
    wire::TaskSpec spec = any_spec();
    spec.label = "sweep";
    spec.detach = true;
    {
      Story s{.h = Harness(settings, disk)};
      s.h.commit();
      const PeerId client = s.say(alice, hello_of(1, "a"));
      s.say(alice, client, wire::Synced{});
      s.say(alice, client, wire::Define{1, spec});
      s.say(alice, client, wire::Submit{{{.seq = 1, .spec = 1, .payload = wire::Payload("arg")}}});
      s.h.commit();
      s.h.skip();
      CHECK(find(s, alice).size() == 1);
      CHECK(find(s, bob).empty());
      CHECK(find(s, identity("root", kAdmin)).size() == 1);
      disk = s.h.disk();
      s.h.skip();
    }
    Story s{.h = Harness(settings, disk)};
    s.h.commit();
    s.h.skip();
    CHECK(find(s, alice).size() == 1);
    CHECK(find(s, bob).empty());

    wire::TaskSpec attach = any_spec();
    attach.kind = wire::TaskKind::attached;
    const PeerId client = s.say(bob, hello_of(2, "b"));
    s.say(bob, client, wire::Synced{});
    s.say(bob, client, wire::Define{1, attach});
    s.h.skip();
    s.say(bob, client,
          wire::Submit{{{.seq = 1, .spec = 1, .payload = wire::Payload(wire::encode_ref({uuid(1), 1}))}}});
    const auto delivered = s.only_message<wire::Deliver>().records;
    REQUIRE(delivered.size() == 1);
    CHECK(delivered[0].outcome == wire::Outcome::refused);
    CHECK(wire::decode_error(delivered[0].payload.inline_bytes())
              ->message.find("belongs to 'alice', not to 'bob'") != std::string::npos);
  }
}

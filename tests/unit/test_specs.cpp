// SPDX-License-Identifier: MIT
// Specs alone: how long a spec lives, and which specs a worker is sent.
#include "broker/scheduler/specs.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

struct Stage : Parts {
  Specs& specs = tables.specs;
  Session& client = join_client(9);
  Worker& worker = join_worker(1);
  Spec& spec = *client.specs.at(1);
  const Send define{101, wire::DefineFor{client.id, 1, any_spec()}};
};

}  // namespace

TEST_SUITE("specs") {
  TEST_CASE("a spec is found by its number") {
    Stage s;
    CHECK(Specs::find(s.client, 1) == &s.spec);
    CHECK(Specs::find(s.client, 2) == nullptr);
  }

  TEST_CASE("where its tasks may run is read from its options") {
    Stage s;
    wire::TaskSpec content = any_spec();
    content.priority = 3;
    content.threads = 4;
    content.detach = true;
    content.workers = {"w1"};
    const Spec& spec = s.specs.define(s.client, 2, content, "it cannot be run");
    CHECK(spec.slots == 4);
    CHECK(spec.refusal == "it cannot be run");
    const Placement& placement = *spec.queue->placement;
    CHECK(placement.priority == 3);
    CHECK(placement.threads == 4);
    CHECK(placement.detach);
    CHECK(placement.workers == content.workers);
    CHECK_FALSE(spec.queue->anywhere);
    CHECK(s.spec.queue->anywhere);
  }

  TEST_CASE("an essential option says which version a worker must speak") {
    Stage s;
    wire::TaskSpec content = any_spec();
    content.threads = 2;
    const auto requirement = wire::required_beyond(content, 0);
    REQUIRE(requirement);
    const Spec& spec = s.specs.define(s.client, 2, content, "");
    CHECK(spec.minor == requirement->minor);
    CHECK(spec.queue->placement->minor == requirement->minor);
  }

  TEST_CASE("a worker is sent a spec once on each connection") {
    Stage s;
    s.specs.send_to(s.worker, s.client, s.spec);
    CHECK(s.take() == Actions{s.define});
    s.specs.send_to(s.worker, s.client, s.spec);
    CHECK(s.take() == Actions{});
    Spec& other = s.specs.define(s.client, 2, any_spec(), "");
    s.specs.send_to(s.worker, s.client, other);
    s.specs.send_to(s.worker, s.client, s.spec);  // the worker has both already
    CHECK(s.take() == Actions{Send{101, wire::DefineFor{s.client.id, 2, any_spec()}}});
    s.worker.sessions.of(s.client.id).spec_sent.clear();  // a new connection
    s.worker.last_spec_session = 0;
    s.specs.send_to(s.worker, s.client, s.spec);
    CHECK(s.take() == Actions{s.define});
  }

  TEST_CASE("a spec that the client has forgotten goes with its last task, and workers forget it") {
    Stage s;
    s.specs.send_to(s.worker, s.client, s.spec);
    Task& task = s.queue_task(s.client);
    s.take();
    s.specs.forget(s.client, 1);
    CHECK(s.take() == Actions{});
    CHECK(Specs::find(s.client, 1) == &s.spec);
    s.lifecycle.erase(task);
    CHECK(s.take() == Actions{Send{101, wire::ForgetFor{s.client.id, 1}}});
    CHECK(Specs::find(s.client, 1) == nullptr);
    CHECK_FALSE(s.worker.sessions.of(s.client.id).specs.contains(1));
    s.specs.forget(s.client, 1);  // said again
    CHECK(s.take() == Actions{});
  }

  TEST_CASE(
      "a spec without tasks goes when the client has forgotten it, and a worker that never had it hears "
      "nothing") {
    Stage s;
    s.specs.forget(s.client, 1);
    CHECK(Specs::find(s.client, 1) == nullptr);
    CHECK(s.take() == Actions{});
  }

  TEST_CASE("the blobs that a spec holds are released with it, or with its session") {
    Stage s;
    Spec& program = s.specs.define(s.client, 2, program_spec(5), "");
    s.tables.blob_vault.found(blob_id(5));
    s.tables.durable.hold_files(s.client, program);
    CHECK(program.holds == std::vector<BlobId>{blob_id(5)});
    SUBCASE("forgotten") { s.specs.forget(s.client, 2); }
    SUBCASE("its session ends") {
      s.specs.release_blobs_of(s.client);
      s.specs.release_blobs_of(s.client);  // a second call changes nothing
    }
    CHECK(s.take() == Actions{DropBlob{blob_id(5)}});
  }
}

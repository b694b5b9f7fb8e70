// SPDX-License-Identifier: MIT
// BlobTraffic alone: which connection a chunk goes to, and which chunks the broker's own vault gets.
#include "broker/scheduler/blob_traffic.hpp"

#include "scheduler_parts.hpp"

using namespace weft;
using namespace weft::broker;

namespace {

const wire::Get kGet{uuid(9), blob_id(1), 0, 100};

struct Stage : Parts {
  BlobTraffic& blobs = tables.blobs;
  Session& client = join_client(9);
  Worker& worker = join_worker(1);
  const wire::Data data{blob_id(1), 0, Bytes(std::string(100, 'x'))};

  ~Stage() { check_invariants(); }
  void ask() { blobs.on(worker.peer, uuid(1), kGet); }
};

}  // namespace

TEST_SUITE("blob traffic") {
  TEST_CASE("a worker's GET goes to the connection of the client that has the blob, and DATA comes back") {
    Stage s;
    s.ask();
    CHECK(s.take() == Actions{Send{s.client.peer, kGet}});
    s.blobs.on(s.client.peer, s.client.id, s.data);
    CHECK(s.take() == Actions{Send{s.worker.peer, s.data}});
  }

  TEST_CASE("a blob of the vault is read from the disk") {
    Stage s;
    s.tables.blob_vault.found(blob_id(1));
    s.ask();
    CHECK(s.take() == Actions{broker::ServeChunk{s.worker.peer, kGet}});
  }

  TEST_CASE("a holder that is away is asked when it is back, and one that has left is not waited for") {
    Stage s;
    const PeerId peer = std::exchange(s.client.peer, kNoPeer);
    s.client.state = SessionState::lost;
    s.ask();
    CHECK(s.take() == Actions{});
    s.client.state = SessionState::connected;
    s.client.peer = peer;
    s.blobs.resume(s.client.id);
    CHECK(s.take() == Actions{Send{peer, kGet}});
    s.blobs.remove_holder(s.client.id);
    CHECK(s.take() == Actions{Send{s.worker.peer, wire::Gone{blob_id(1), "its holder has left"}}});
  }

  TEST_CASE("of a program another holder is asked when one is lost or has lost it") {
    Stage s;
    Session& other = s.join_client(8);
    s.blobs.add_program(s.client.id, blob_id(1));
    s.blobs.add_program(other.id, blob_id(1));
    wire::Get asked = kGet;
    asked.holder = other.id;
    s.ask();
    s.take();
    s.client.state = SessionState::silent;
    s.blobs.fall_back_from(s.client.id);
    CHECK(s.take() == Actions{Send{other.peer, asked}});
    s.blobs.on(other.peer, other.id, wire::Gone{blob_id(1), "lost"});
    CHECK(s.take() == Actions{Send{s.client.peer, kGet}});
  }

  TEST_CASE("a session that a worker claims is a holder that may still come") {
    Stage s;
    wire::Get get = kGet;
    get.holder = uuid(7);
    s.blobs.on(s.worker.peer, uuid(1), get);
    CHECK(s.take() == Actions{Send{s.worker.peer, wire::Gone{blob_id(1), "its holder is not connected"}}});
    s.tables.adoption.await_session(uuid(7));
    s.blobs.on(s.worker.peer, uuid(1), get);
    CHECK(s.take() == Actions{});
  }

  TEST_CASE("a connection that is gone gets nothing") {
    Stage s;
    s.ask();
    s.take();
    s.blobs.remove_peer(s.worker.peer);
    s.blobs.on(s.client.peer, s.client.id, s.data);
    CHECK(s.take() == Actions{});
  }

  TEST_CASE("DROP goes on to the holder that it names") {
    Stage s;
    const wire::Drop drop{uuid(1), blob_id(1)};
    s.blobs.on(s.client.peer, s.client.id, drop);
    CHECK(s.take() == Actions{Send{s.worker.peer, drop}});
  }

  TEST_CASE("the vault asks like a peer, and what it gets is stored and sealed") {
    Stage s;
    CHECK_FALSE(s.blobs.fetch_for_vault());
    s.tables.blob_vault.retain(blob_id(1), 100, s.client.id);
    CHECK(s.blobs.fetch_for_vault());
    CHECK(s.take() == Actions{Send{s.client.peer, kGet}});
    CHECK_FALSE(s.blobs.fetch_for_vault());
    s.blobs.on(s.client.peer, s.client.id, s.data);
    CHECK(s.take() == Actions{StoreChunk{blob_id(1), 100, 0, s.data.bytes}, VerifyBlob{blob_id(1), 100}});
  }
}

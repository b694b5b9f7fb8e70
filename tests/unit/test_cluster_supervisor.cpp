// SPDX-License-Identifier: MIT
// The supervisor of a cluster on virtual time: its actions on each death and each request.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "client/cluster/supervisor.hpp"

namespace weft::cluster {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Words for actions: "start worker-1", "tell worker-1", "kill worker-1", "ok TEXT", "no TEXT", ...
std::string in_words(const Action& action) {
  struct Words {
    std::string operator()(const Start& a) const { return "start " + a.name; }
    std::string operator()(const TellToLeave& a) const { return (a.force ? "kill " : "tell ") + a.name; }
    std::string operator()(const Note& a) const { return "note " + a.text; }
    std::string operator()(const Say& a) const { return "say " + a.text; }
    std::string operator()(const Answer& a) const {
      return std::string(a.ok ? "ok" : "no") + (a.text.empty() ? "" : " " + a.text);
    }
    std::string operator()(const Stopped&) const { return "stopped"; }
  };
  return std::visit(Words{}, action);
}

using Words = std::vector<std::string>;

struct Cluster {
  Supervisor supervisor;
  Time now = Time(seconds(1000));

  Words step(const Event& event) {
    Actions actions;
    supervisor.step(now, event, actions);
    supervisor.check_invariants();
    Words words;
    for (const Action& action : actions) words.push_back(in_words(action));
    return words;
  }
  /// A serving broker and `workers` workers, all running.
  explicit Cluster(int workers) {
    step(AddBroker{});
    step(Serving{});
    for (int i = 1; i <= workers; ++i) step(AddWorker{});
  }
  Words after(Duration time) {
    now += time;
    return step(Tick{});
  }
  Words killed(const std::string& name, Duration lived, const std::string& full_disk = "") {
    return step(Ended{name, false, 9, "was killed by SIGKILL", "bye", lived, full_disk});
  }
  Words leaves(const std::string& name, int code, Duration lived, const std::string& full_disk = "") {
    return step(
        Ended{name, true, code, fmt::format("left with exit code {}", code), "bye", lived, full_disk});
  }
  Stage stage(const std::string& name) const {
    REQUIRE(supervisor.find(name) != nullptr);
    return supervisor.find(name)->stage;
  }
};

}  // namespace

TEST_SUITE("cluster supervisor") {
  TEST_CASE("workers start when the broker has said where it serves") {
    Cluster cluster(0);
    Supervisor supervisor;
    Actions actions;
    supervisor.step(cluster.now, AddBroker{}, actions);
    supervisor.step(cluster.now, AddWorker{}, actions);
    REQUIRE(actions.size() == 3);
    CHECK(in_words(actions[0]) == "start broker");
    CHECK(in_words(actions[2]) == "ok worker-1");
    CHECK(supervisor.find("worker-1")->stage == Stage::waiting);
    actions.clear();
    supervisor.step(cluster.now, Serving{}, actions);
    REQUIRE(actions.size() == 1);
    CHECK(in_words(actions[0]) == "start worker-1");
  }

  TEST_CASE("what dies starts again, after delays that double to 5 s") {
    Cluster cluster(1);
    Duration delay = milliseconds(200);
    for (int i = 0; i < 8; ++i) {
      CHECK(cluster.killed("worker-1", seconds(6)).size() == 1);
      CHECK(cluster.supervisor.deadline() == cluster.now + delay);
      CHECK(cluster.after(delay - milliseconds(1)).empty());
      CHECK(cluster.after(milliseconds(1)) == Words{"start worker-1"});
      delay = std::min<Duration>(delay * 2, seconds(5));
    }
    CHECK(cluster.supervisor.find("worker-1")->restarts == 8);
    cluster.killed("worker-1", seconds(61));
    CHECK(cluster.supervisor.deadline() == cluster.now + milliseconds(200));
  }

  TEST_CASE("five fast deaths in a row are given up, with the reason") {
    Cluster cluster(1);
    for (int i = 0; i < 4; ++i) {
      cluster.killed("worker-1", seconds(1));
      cluster.after(seconds(5));
    }
    CHECK(cluster.killed("worker-1", seconds(1)) ==
          Words{"note worker-1 has been given up: it died 5 times in a row within 5 s of its start; the last "
                "time it "
                "was killed by SIGKILL: bye"});
    CHECK(cluster.stage("worker-1") == Stage::out);
    CHECK(cluster.supervisor.deadline() == std::nullopt);
  }

  TEST_CASE("a long life between fast deaths makes them begin again") {
    Cluster cluster(1);
    for (int i = 0; i < 20; ++i) {
      cluster.killed("worker-1", i % 5 == 4 ? seconds(6) : seconds(1));
      cluster.after(seconds(5));
    }
    CHECK(cluster.stage("worker-1") == Stage::running);
  }

  TEST_CASE("what cannot even start is given up at once") {
    Cluster cluster(1);
    CHECK(cluster.leaves("worker-1", 1, milliseconds(10)) ==
          Words{"note worker-1 has been given up: it left with exit code 1: bye"});
    SUBCASE("but not when it has been up before") {
      cluster.step(Revive{});
      cluster.killed("worker-1", seconds(1));
      cluster.after(seconds(5));
      cluster.leaves("worker-1", 1, milliseconds(10));
      CHECK(cluster.stage("worker-1") == Stage::backing_off);
    }
  }

  TEST_CASE("a full disk is waited out, also by what has never been up") {
    Cluster cluster(1);
    for (int i = 0; i < 50; ++i) {
      const Words words = cluster.leaves("worker-1", 1, milliseconds(10), "/var/weft");
      REQUIRE(words.size() == 1);
      CHECK(words[0].find("no space is left in /var/weft") != std::string::npos);
      CHECK(cluster.supervisor.find("worker-1")->reason == "no space is left in /var/weft");
      cluster.after(seconds(5));
    }
    CHECK(cluster.stage("worker-1") == Stage::running);
    CHECK(cluster.supervisor.find("worker-1")->reason.empty());
  }

  TEST_CASE("a drained worker stays out until scale or up") {
    Cluster cluster(2);
    SUBCASE("drained by the cluster") {
      CHECK(cluster.step(DrainMember{"worker-2"}) == Words{"tell worker-2", "ok"});
      CHECK(cluster.step(DrainMember{"worker-2"}) == Words{"ok"});  // told once
    }
    SUBCASE("drained by the broker") {}
    cluster.leaves("worker-2", 0, seconds(100));
    CHECK(cluster.stage("worker-2") == Stage::out);
    CHECK(cluster.supervisor.find("worker-2")->drained);
    CHECK(cluster.after(seconds(100)).empty());
    SUBCASE("scale") { CHECK(cluster.step(Scale{2}) == Words{"start worker-2", "ok"}); }
    SUBCASE("up") { CHECK(cluster.step(Revive{}) == Words{"start worker-2", "ok worker-2"}); }
    SUBCASE("scale to what is there forgets it") {
      CHECK(cluster.step(Scale{1}) == Words{"ok"});
      CHECK(cluster.supervisor.find("worker-2") == nullptr);
    }
  }

  TEST_CASE("a broker that leaves with exit code 0 starts again") {
    Cluster cluster(0);
    cluster.leaves("broker", 0, seconds(100));
    CHECK(cluster.stage("broker") == Stage::backing_off);
  }

  TEST_CASE("drain of what is no worker is refused") {
    Cluster cluster(1);
    CHECK(cluster.step(DrainMember{"worker-7"}) == Words{"no this cluster has no worker worker-7"});
    CHECK(cluster.step(DrainMember{"broker"}).front().starts_with("no "));
  }

  TEST_CASE("restart: the member leaves and starts at once") {
    Cluster cluster(1);
    CHECK(cluster.step(RestartMember{"worker-1"}) == Words{"tell worker-1", "ok"});
    CHECK(cluster.leaves("worker-1", 0, seconds(1)) == Words{"start worker-1"});
    CHECK(cluster.supervisor.find("worker-1")->restarts == 0);
    SUBCASE("a new program that cannot start is given up at once") {
      cluster.leaves("worker-1", 127, milliseconds(1));
      CHECK(cluster.stage("worker-1") == Stage::out);
    }
    SUBCASE("one that waits for its turn does not wait any longer") {
      cluster.killed("worker-1", seconds(1));
      CHECK(cluster.step(RestartMember{"worker-1"}) == Words{"start worker-1", "ok"});
    }
    SUBCASE("a name that is not there") {
      CHECK(cluster.step(RestartMember{"worker-9"}) == Words{"no this cluster has no worker-9"});
    }
  }

  TEST_CASE("scale adds workers behind the last, and has the newest leave") {
    Cluster cluster(1);
    CHECK(cluster.step(Scale{3}) == Words{"start worker-2", "start worker-3", "ok"});
    CHECK(cluster.step(Scale{1}) == Words{"tell worker-3", "tell worker-2", "ok"});
    CHECK(cluster.step(Scale{2}) == Words{"start worker-4", "ok"});  // workers 2 and 3 are still leaving
    cluster.leaves("worker-3", 0, seconds(9));
    cluster.leaves("worker-2", 0, seconds(9));
    CHECK(cluster.supervisor.members().size() == 3);
    CHECK(cluster.step(Scale{0}) == Words{"tell worker-4", "tell worker-1", "ok"});
  }

  TEST_CASE("a worker that is killed on purpose is not started again") {
    Cluster cluster(1);
    CHECK(cluster.step(KillMember{"worker-1"}) == Words{"kill worker-1", "ok"});
    cluster.killed("worker-1", seconds(1));
    CHECK(cluster.stage("worker-1") == Stage::out);
    CHECK(cluster.step(AddWorker{}) == Words{"start worker-2", "ok worker-2"});
  }

  TEST_CASE("stop: the workers first, then the broker") {
    Cluster cluster(2);
    CHECK(cluster.step(Stop{seconds(10)}) == Words{"ok", "tell worker-1", "tell worker-2"});
    CHECK(cluster.step(Scale{5}) == Words{"no the cluster is going down"});
    cluster.leaves("worker-1", 0, seconds(1));
    CHECK(cluster.leaves("worker-2", 0, seconds(1)) == Words{"note worker-2 has left", "tell broker"});
    CHECK(cluster.leaves("broker", 0, seconds(1)) == Words{"note broker has left", "stopped"});
    CHECK(cluster.supervisor.deadline() == std::nullopt);
  }

  TEST_CASE("stop: by force after the grace, which is shorter for the broker") {
    Cluster cluster(1);
    cluster.step(Stop{seconds(10)});
    CHECK(cluster.after(milliseconds(9999)).empty());
    CHECK(cluster.after(milliseconds(1)) ==
          Words{"say worker-1 has not left in time and is killed", "kill worker-1"});
    CHECK(cluster.killed("worker-1", seconds(20)) == Words{"note worker-1 has left", "tell broker"});
    CHECK(cluster.after(seconds(2)) == Words{"say broker has not left in time and is killed", "kill broker"});
    CHECK(cluster.killed("broker", seconds(20)) == Words{"note broker has left", "stopped"});
  }

  TEST_CASE("stop: members without a process are gone at once") {
    Cluster cluster(3);
    cluster.killed("worker-1", seconds(1));          // backing off
    cluster.leaves("worker-2", 1, milliseconds(1));  // given up
    cluster.step(DrainMember{"worker-3"});           // leaving
    cluster.step(Stop{seconds(10)});
    CHECK(cluster.supervisor.members().size() == 2);
    CHECK(cluster.leaves("worker-3", 0, seconds(1)) == Words{"note worker-3 has left", "tell broker"});
    CHECK(cluster.leaves("broker", 0, seconds(1)).back() == "stopped");
  }
}

}  // namespace weft::cluster

// SPDX-License-Identifier: MIT
// Resources with indices: how --resources is parsed, which task has which index, and that a runner always
// gets the indices that it saw first.
#include "tests/unit/worker_harness.hpp"
#include "worker/core/resources.hpp"

namespace weft::worker {

TEST_SUITE("worker resources") {
  TEST_CASE("amounts and indices are read") {
    const auto offered = parse_resources("gpu=[0,1,7],licence=2,disk=0.5");
    REQUIRE(offered);
    CHECK(offered->amounts == Amounts{{"disk", 0.5}, {"gpu", 3}, {"licence", 2}});
    CHECK(offered->indices == Indices{{"gpu", {0, 1, 7}}});
    CHECK(parse_resources("")->amounts.empty());
  }

  TEST_CASE("what is neither an amount nor a list of indices is named") {
    for (const char* text :
         {"gpu", "=1", "gpu=", "gpu=0", "gpu=-1", "gpu=1e13", "gpu=nan", "gpu=1x", "gpu=[]", "gpu=[0",
          "gpu=[0,]", "gpu=[a]", "gpu=[-1]", "gpu=[0][1]", "gpu=[1.5]", ",", "a=1,,b=1"}) {
      CAPTURE(text);
      const auto offered = parse_resources(text);
      REQUIRE_FALSE(offered);
      CHECK(offered.fault().find("is neither NAME=AMOUNT nor NAME=[INDEX,...]") != std::string::npos);
    }
    CHECK(parse_resources("gpu=[0,0]").fault() == "'gpu=[0,0]' names the index 0 twice");
    CHECK(parse_resources("a=1,a=2").fault() == "'a' is given twice");
  }

  TEST_CASE("whole indices are held alone, parts share one") {
    IndexAllocator gpus(Indices{{"gpu", {4, 5, 6}}});
    const Amounts half{{"gpu", 0.5}};
    const Amounts one{{"gpu", 1}};
    const Amounts most{{"gpu", 1.5}, {"licence", 1}};
    CHECK(gpus.concerns(half));
    CHECK_FALSE(gpus.concerns({{"licence", 1}}));
    CHECK(*gpus.take(half) == Indices{{"gpu", {4}}});
    CHECK(*gpus.take(one) == Indices{{"gpu", {5}}});
    CHECK(*gpus.take(half) == Indices{{"gpu", {4}}});
    CHECK_FALSE(gpus.take(most));
    gpus.give_back(half, {{"gpu", {4}}});
    CHECK(*gpus.take(most) == Indices{{"gpu", {6, 4}}});
    CHECK_FALSE(gpus.would_fit(half));
    gpus.give_back(one, {{"gpu", {5}}});
    CHECK_FALSE(gpus.take_again(half, {{"gpu", {4}}}));
    CHECK_FALSE(gpus.take_again(one, {{"gpu", {5, 6}}}));
    CHECK(gpus.take_again(one, {{"gpu", {5}}}));
  }

  TEST_CASE("parts that do not add up exactly fill an index all the same") {
    IndexAllocator gpus(Indices{{"gpu", {0}}});
    const Amounts tenth{{"gpu", 0.1}};
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 10; ++i) CHECK(gpus.take(tenth));
      CHECK_FALSE(gpus.take(tenth));
      for (int i = 0; i < 10; ++i) gpus.give_back(tenth, {{"gpu", {0}}});
    }
    CHECK(gpus.take({{"gpu", 1}}));
  }

  // ---- in a session ----

  WorkerCore::Settings with_gpus(std::uint32_t slots) {
    WorkerCore::Settings settings = settings_of(slots);
    settings.hello.resources = {{"gpu", 2}};
    settings.indices = {{"gpu", {0, 1}}};
    return settings;
  }

  wire::TaskSpec on_gpus(double amount) {
    wire::TaskSpec spec = library_spec();
    spec.resources = {{"gpu", amount}};
    return spec;
  }

  class WithGpus : public Joined {
   public:
    explicit WithGpus(std::uint32_t slots) : Joined(with_gpus(slots)) { define(on_gpus(1), 2); }
  };

  TEST_CASE("two tasks get one device each, and the next one gets that of the task that has ended") {
    WithGpus h(2);
    h.assign(1, 3, 2);
    CHECK(h.take() == Actions{Harness::start(1, 0), Harness::start(2, 1)});
    h.ready(1);
    h.ready(2);
    CHECK(h.take() == Actions{Harness::run(1, 1, 1, on_gpus(1), kAda, {{"gpu", {0}}}),
                              Harness::run(2, 1, 2, on_gpus(1), kAda, {{"gpu", {1}}})});
    h.finished(2, 1);
    CHECK(h.take() ==
          Actions{Harness::result(1, 2, true), Harness::run(2, 2, 3, on_gpus(1), kAda, {{"gpu", {1}}})});
  }

  TEST_CASE(
      "a task without devices does not wait for them, and a short one does not wait behind one that has "
      "some") {
    WithGpus h(2);
    h.assign(1, 1, 2);
    h.assign(2, 2, 1);
    CHECK(h.take() == Actions{Harness::start(1, 0), Harness::start(2, 1)});
    h.ready(1);
    h.ready(2);
    CHECK(h.take() ==
          Actions{Harness::run(1, 1, 1, on_gpus(1), kAda, {{"gpu", {0}}}), Harness::run(2, 1, 2)});
    h.finished(2, 1, 10);
    CHECK(h.take() == Actions{Harness::result(1, 2, true, 10)});
    h.assign(3, 3, 1);  // its spec is known to be short by now
    CHECK(h.take() == Actions{Harness::run(2, 2, 3)});
    h.assign(4, 4, 1);
    CHECK(h.take() == Actions{Harness::run(2, 3, 4)});
  }

  TEST_CASE(
      "a runner keeps the devices that it saw first: another one takes its place when others are needed") {
    WithGpus h(1);
    h.define(on_gpus(2), 3);
    h.assign(1, 1, 2);
    h.ready(1);
    CHECK(h.take() == Actions{Harness::start(1), Harness::run(1, 1, 1, on_gpus(1), kAda, {{"gpu", {0}}})});
    h.finished(1, 1);
    h.expect<wire::Results>();
    h.assign(2, 2, 3);
    CHECK(h.take() == Actions{EndRunner{1}});
    h.died(1, 1, 0);
    CHECK(h.take() == Actions{Harness::start(2)});
    h.ready(2);
    CHECK(h.take() == Actions{Harness::run(2, 1, 2, on_gpus(2), kAda, {{"gpu", {0, 1}}})});
  }

  TEST_CASE("devices of a task whose runner has crashed are free again") {
    WithGpus h(2);
    h.define(on_gpus(2), 3);
    h.assign(1, 1, 2);
    h.ready(1);
    h.started(1, 1);
    h.expect<StartRunner, RunTask>();
    h.died(1, 1);
    CHECK(h.take_error(1, wire::Outcome::crashed).signal == SIGSEGV);
    h.assign(2, 2, 3);
    h.ready(2);
    CHECK(h.take() == Actions{Harness::start(2), Harness::run(2, 1, 2, on_gpus(2), kAda, {{"gpu", {0, 1}}})});
  }
}

}  // namespace weft::worker

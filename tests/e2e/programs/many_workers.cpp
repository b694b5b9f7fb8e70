// SPDX-License-Identifier: MIT
// Many worker sessions in one process, each with a connection, as so many hosts would have them:
//   weft_many_workers ADDRESS COUNT
// They join and stay; they refuse to run anything, so that tasks go to the real workers. Prints
// how long it took until all were welcomed, at first and each time that they were lost. Until SIGTERM.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>
#include <zmq.hpp>

#include "common/net/link.hpp"
#include "common/system/fd.hpp"
#include "common/system/hash.hpp"
#include "common/wire/codec.hpp"
#include "worker/core/worker_core.hpp"

namespace {

using namespace weft;
using namespace weft::worker;

Time now() {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

class OneWorker {
 public:
  OneWorker(zmq::context_t& context, const std::string& broker, int number)
      : broker_(broker), link_(context), core_(settings(broker, number)) {}

  bool joined() const { return core_.joined(); }
  bool exited() const { return core_.exited(); }
  Time deadline() const { return core_.deadline().value_or(Time::max()); }
  void watch(std::vector<pollfd>& items) { link_.watch(items); }
  bool quiet() { return link_.quiet(); }
  void notice(const std::vector<pollfd>& items) { link_.notice(items); }

  void read_link() {
    while (auto event = link_.next()) {
      if (std::holds_alternative<Link::Up>(*event)) {
        deliver(LinkUp{});
      } else if (auto* down = std::get_if<Link::Down>(&*event)) {
        deliver(LinkDown{std::move(down->reason)});
      } else {
        auto message = wire::decode(std::get<zmq::message_t>(*event).to_string_view());
        if (!message) throw std::runtime_error("the broker sent something malformed: " + message.fault());
        deliver(Received{std::move(*message)});
      }
    }
  }

  void deliver(Event event) {
    std::deque<Event> events{std::move(event)};
    for (; !events.empty(); events.pop_front()) {
      Actions actions;
      core_.step(now(), events.front(), actions);
      for (const Action& action : actions) perform(action, events);
    }
    while (auto frame = packer_.take()) frames_.push_back(std::move(*frame));
    while (!frames_.empty() && link_.send(frames_.front())) frames_.pop_front();
  }

 private:
  static WorkerCore::Settings settings(const std::string& broker, int number) {
    WorkerCore::Settings settings;
    settings.broker = broker;
    settings.jitter_seed = random_number();
    settings.hello.incarnation = random_uuid();
    settings.hello.name = fmt::format("idle-{}", number);
    settings.hello.host = fmt::format("host-{}", number);
    settings.hello.slots = 1;
    return settings;
  }

  void perform(const Action& action, std::deque<Event>& events) {
    if (std::holds_alternative<OpenLink>(action)) {
      link_.open(broker_);
    } else if (std::holds_alternative<CloseLink>(action)) {
      link_.close();
      packer_ = {};
      frames_.clear();
    } else if (const auto* send = std::get_if<Send>(&action)) {
      packer_.add(*send->message);
    } else if (const auto* find = std::get_if<FindBlob>(&action)) {
      events.push_back(BlobBad{find->id, "this worker runs nothing"});
    } else if (const auto* start = std::get_if<StartRunner>(&action)) {
      events.push_back(RunnerFailedToStart{start->runner, "this worker runs nothing"});
    } else if (const auto* exit = std::get_if<Exit>(&action)) {
      fmt::print(stderr, "a worker leaves: {}\n", exit->reason);
    }
  }

  std::string broker_;
  Link link_;
  WorkerCore core_;
  wire::Packer packer_;
  std::deque<std::string> frames_;
};

/// Prints when all workers have joined, and how long that took since the start or the loss.
class Progress {
 public:
  explicit Progress(std::size_t count) : count_(count) {}

  void look(std::size_t joined) {
    if (complete_ && joined < count_) {
      complete_ = false;
      begin_ = now();
      fmt::print("lost {}\n", ++losses_);
    } else if (!complete_ && joined == count_) {
      complete_ = true;
      fmt::print("{} workers welcomed after {:.2f} s, {} losses\n", count_,
                 static_cast<double>((now() - begin_).count()) / 1e6, losses_);
    }
    std::fflush(stdout);
  }

 private:
  std::size_t count_;
  Time begin_ = now();
  bool complete_ = false;
  int losses_ = 0;
};

void run(const std::string& broker, int count, int stop) {
  zmq::context_t context;
  context.set(zmq::ctxopt::max_sockets, 4 * count + 100);
  std::vector<std::unique_ptr<OneWorker>> workers;
  for (int i = 1; i <= count; ++i) workers.push_back(std::make_unique<OneWorker>(context, broker, i));
  Progress progress(workers.size());
  for (;;) {
    std::vector<pollfd> items{{stop, POLLIN, 0}};
    Time due = Time::max();
    for (const auto& worker : workers) {
      worker->watch(items);
      due = std::min(due, worker->quiet() ? worker->deadline() : Time{});
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(due - now(), Duration(0)));
    poll_for(items, std::min(wait, std::chrono::milliseconds(1000)));
    if (items[0].revents != 0) return;
    std::size_t joined = 0;
    for (const auto& worker : workers) {
      worker->notice(items);
      worker->read_link();
      if (worker->deadline() <= now()) worker->deliver(Tick{});
      if (worker->exited()) throw std::runtime_error("a worker was refused for good");
      joined += worker->joined() ? 1 : 0;
    }
    progress.look(joined);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::atoi(argv[2]) < 1) {
    fmt::print(stderr, "usage: weft_many_workers ADDRESS COUNT\n");
    return 2;
  }
  try {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    run(argv[1], std::atoi(argv[2]), signalfd(-1, &signals, SFD_CLOEXEC));
  } catch (const std::exception& error) {
    fmt::print(stderr, "weft_many_workers: {}\n", error.what());
    return 1;
  }
  return 0;
}

// SPDX-License-Identifier: MIT
// Stories: sequences of faults, with restarts of the broker, that lead to rare states which no single fault
// reaches.
#include "tests/simulation/faults.hpp"

namespace weft::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kFaultsOfStory = 3;  // each story has at least as many

}  // namespace

/// A world has one to three stories, mostly of one kind; some worlds have other faults as well.
void Faults::plan_stories(Time end) {
  static constexpr void (Faults::*kStories[])() = {&Faults::lose_workers, &Faults::shake_workers,
                                                   &Faults::miss_restarts, &Faults::cancel_a_lot,
                                                   &Faults::lose_clients};
  const auto any_time = [&] { return random_.duration(milliseconds(300), end - world_.now()); };
  const auto any_story = [&] { return kStories[random_.below(std::size(kStories))]; };
  const auto usual = any_story();
  for (std::uint64_t stories = random_.between(1, 3); stories > 0; --stories) {
    const auto story = random_.chance(0.7) ? usual : any_story();
    world_.after(any_time(), [this, story] {
      struck_ += kFaultsOfStory;
      (this->*story)();
    });
  }
  for (std::uint64_t others = random_.chance(0.3) ? random_.between(1, 4) : 0; others > 0; --others)
    world_.after(any_time(), [this] { strike(); });
}

/// Workers are silent until the broker gives them up and assigns their tasks to others. Then the broker
/// restarts, and hears of one task from two workers, often before it hears from the client.
void Faults::lose_workers() {
  const Duration silent = random_.duration(seconds(2), milliseconds(4500));
  const Duration back = restarts_after(silent);
  for (std::uint64_t n = random_.between(1, 3); n > 0; --n) {
    WorkerNode& worker = any_worker();
    hold({worker.host(), &worker, nullptr}, back + random_.duration(milliseconds(-800), milliseconds(1500)));
  }
  if (random_.chance(0.7)) delay_clients(silent, back);
  if (random_.chance(0.3)) trouble_disk(silent);
}

/// Connections of workers break, or workers are told to leave, and the broker restarts before or after it has
/// noticed.
void Faults::shake_workers() {
  for (std::uint64_t n = random_.between(1, 4); n > 0; --n) {
    world_.after(random_.duration(Duration(0), milliseconds(200)), [this, &worker = any_worker()] {
      disturb(worker.host(), seconds(1));
      if (random_.chance(0.2)) return worker.drain();
      const std::uint64_t who = random_.below(3);
      network_.reset(worker.host(), who != 2, who != 1);
      if (random_.chance(0.5))
        hold({worker.host(), &worker, nullptr}, random_.duration(milliseconds(100), seconds(3)));
    });
  }
  const Duration until = random_.duration(Duration(0), milliseconds(600));
  const Duration back = restarts_after(until);
  if (random_.chance(0.7)) delay_clients(until, back);
}

/// A client is away while the broker restarts, and comes back at any time, often just after the broker has
/// given it up.
void Faults::miss_restarts() {
  ClientNode& client = any_client();
  const Duration back = restarts_after(random_.duration(Duration(0), seconds(4)));
  const Duration given_up = back + victims_.given_up_after;
  const Duration away = random_.chance(0.6)
                            ? given_up + random_.duration(milliseconds(-100), milliseconds(1500))
                            : random_.duration(back, given_up);
  hold({client.host(), nullptr, &client}, away);
  if (random_.chance(0.7)) trouble_disk(given_up - seconds(1));
}

/// A client cancels what it has just submitted, over a slow link, and the broker restarts before the journal
/// has the cancels.
void Faults::cancel_a_lot() {
  if (random_.chance(0.7)) trouble_disk(Duration(0));
  if (random_.chance(0.7)) victims_.add_client();
  const bool newest = random_.chance(0.7);
  ClientNode& client = newest ? *victims_.clients.back() : any_client();
  if (random_.chance(0.5)) slow_down({client.host(), nullptr, &client}, seconds(2));
  const Duration until = random_.duration(milliseconds(200), milliseconds(1500));
  for (std::uint64_t n = random_.between(1, 3); n > 0; --n) {
    world_.after(random_.duration(Duration(0), until), [this, &client] {
      world_.coverage().count("fault: client cancels a lot");
      client.cancel_some(random_.between(1, 40));
    });
  }
  restarts_after(until);
}

/// Clients end, and the broker restarts before it has noticed, or while it forgets them.
void Faults::lose_clients() {
  for (std::uint64_t n = random_.between(1, 2); n > 0; --n) {
    ClientNode& client = any_client();
    if (random_.chance(0.5)) {
      kill_client();
    } else if (client.running()) {
      client.close();
      victims_.add_client();
    }
  }
  restarts_after(
      random_.duration(Duration(0), random_.chance(0.5) ? Duration(milliseconds(300)) : seconds(7)));
}

/// Kills the broker after `delay`, and often once more soon after. Returns the time from now until the last
/// broker has started.
Duration Faults::restarts_after(Duration delay) {
  Duration back = delay;
  for (int restarts = random_.chance(0.5) ? 2 : 1; restarts > 0; --restarts) {
    const Duration down = random_.duration(milliseconds(50), milliseconds(1500));
    world_.after(back, [this, down, power = random_.chance(0.2)] {
      if (victims_.broker.running()) kill_broker_for(down, power);
    });
    back += down;
    if (restarts > 1) back += random_.duration(milliseconds(300), seconds(4));
  }
  over_ = std::max(over_, world_.now() + back + kAftermath);
  return back;
}

/// Freezes or cuts off a process, so that no other process hears of it.
void Faults::hold(const Target& target, Duration lasts) {
  if (random_.chance(0.4)) {
    const bool to_broker = random_.chance(0.7);
    return cut_off(target, lasts, to_broker, !to_broker || random_.chance(0.7));
  }
  disturb(target.host, lasts);
  if (target.worker != nullptr) target.worker->freeze(lasts);
  if (target.client != nullptr) target.client->freeze(lasts);
}

/// Clients are away from `from` on, and come to the new broker only after workers have come.
void Faults::delay_clients(Duration from, Duration back) {
  for (std::uint64_t n = random_.between(1, 3); n > 0; --n) {
    const Duration lasts = back - from + random_.duration(Duration(0), seconds(5));
    world_.after(from, [this, &client = any_client(), lasts] {
      hold({client.host(), nullptr, &client}, lasts);
    });
  }
}

void Faults::trouble_disk(Duration delay) {
  world_.after(delay, [this] { random_.chance(0.7) ? slow_disk() : fill_disk(); });
}

}  // namespace weft::sim

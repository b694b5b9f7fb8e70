// SPDX-License-Identifier: MIT
// The wire of a compute fabric without the fabric. A message is its type, then records; a record is a msgpack
// array of a number and bytes, like a task of the fabric.
#include <malloc.h>

#include <array>
#include <string>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "client/cli/bench_clock.hpp"
#include "common/base/check.hpp"
#include "tests/bench/floor.hpp"
#include "tests/bench/workload.hpp"

namespace weft::bench {

namespace {

constexpr std::size_t kPayloadBytes = 64;
constexpr std::uint64_t kWindow = 20'000;
constexpr std::uint64_t kTasksAMessage = 100;
constexpr int kWorkers = 2;
constexpr std::uint16_t kAllHere = 0;
constexpr std::size_t kFlushBytes = 512 << 10;

enum Type : char { kJoin = 'J', kTasks = 'T', kResults = 'R' };

// ---- records: fixarray(2), uint32, bin8 ----

constexpr std::size_t kHeaderBytes = 1 + 5 + 2;

void append_record(std::string& out, std::uint32_t id, std::string_view payload) {
  char header[kHeaderBytes] = {static_cast<char>(0x92),     static_cast<char>(0xce),
                               static_cast<char>(id >> 24), static_cast<char>(id >> 16),
                               static_cast<char>(id >> 8),  static_cast<char>(id),
                               static_cast<char>(0xc4),     static_cast<char>(payload.size())};
  out.append(header, sizeof header);
  out.append(payload);
}

struct Record {
  std::uint32_t id;  // its highest bit tells the two clients apart
  std::string_view payload;
  std::string_view bytes;  // the whole record
};

/// Removes the first record from `text` and returns it.
Record take_record(std::string_view& text) {
  WEFT_CHECK(text.size() >= kHeaderBytes);
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  WEFT_CHECK(at[0] == 0x92 && at[1] == 0xce && at[6] == 0xc4 && text.size() >= kHeaderBytes + at[7]);
  const std::uint32_t id = std::uint32_t{at[2]} << 24 | std::uint32_t{at[3]} << 16 |
                           std::uint32_t{at[4]} << 8 | std::uint32_t{at[5]};
  const Record record{id, text.substr(kHeaderBytes, at[7]), text.substr(0, kHeaderBytes + at[7])};
  text.remove_prefix(record.bytes.size());
  return record;
}

constexpr std::uint32_t kSecondClient = 1U << 31;

/// The worker of each task: open addressing, as compact as the window allows.
class RoutingTable {
 public:
  void add(std::uint32_t id, std::uint8_t worker) {
    std::size_t at = slot_of(id);
    while (slots_[at].worker != kFree) at = (at + 1) % kSlots;
    slots_[at] = {id, worker};
  }
  std::uint8_t take(std::uint32_t id) {
    std::size_t at = slot_of(id);
    while (slots_[at].id != id || slots_[at].worker == kFree) at = (at + 1) % kSlots;
    const std::uint8_t worker = slots_[at].worker;
    // The entries behind it move up, so that a search may end at the first free slot.
    std::size_t hole = at;
    for (std::size_t i = (at + 1) % kSlots; slots_[i].worker != kFree; i = (i + 1) % kSlots) {
      if ((i - slot_of(slots_[i].id)) % kSlots >= (i - hole) % kSlots) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole].worker = kFree;
    return worker;
  }

 private:
  static constexpr std::size_t kSlots = 1 << 15;
  static constexpr std::uint8_t kFree = 0xff;
  struct Slot {
    std::uint32_t id = 0;
    std::uint8_t worker = kFree;
  };
  static std::size_t slot_of(std::uint32_t id) { return (id * 0x9e3779b1U) >> 17; }
  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

zmq::socket_t dealer_to(zmq::context_t& context, std::uint16_t port) {
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::linger, 0);
  socket.connect("tcp://127.0.0.1:" + std::to_string(port));
  return socket;
}

zmq::socket_t router(zmq::context_t& context, const Pipe& port) {
  zmq::socket_t socket(context, zmq::socket_type::router);
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::linger, 0);
  socket.bind("tcp://127.0.0.1:*");
  const std::string endpoint = socket.get(zmq::sockopt::last_endpoint);
  port.write(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  return socket;
}

/// Receives a message; returns false if there is none and `wait` is false.
bool receive(zmq::socket_t& socket, zmq::message_t& message, bool wait) {
  return socket.recv(message, wait ? zmq::recv_flags::none : zmq::recv_flags::dontwait).has_value();
}

void send(zmq::socket_t& socket, const std::string& to, std::string& text) {
  (void)socket.send(zmq::buffer(to), zmq::send_flags::sndmore);
  (void)socket.send(zmq::buffer(text), zmq::send_flags::none);
  text.resize(1);  // keeps the type byte
}

// ---- the packed pipeline ----

class Broker {
 public:
  /// Writes its port to `parent`, and another value once all workers have joined.
  Broker(const Pipe& parent, int workers)
      : parent_(parent), socket_(router(context_, parent)), workers_(static_cast<std::size_t>(workers)) {}

  [[noreturn]] void run() {
    for (;;) {
      zmq::message_t from;
      for (bool wait = true; receive(socket_, from, wait); wait = false) {
        zmq::message_t message;
        (void)socket_.recv(message);
        take(from.to_string(), message.to_string_view());
      }
      for (Peer& peer : peers_) {
        if (peer.out.size() > 1) send(socket_, peer.routing, peer.out);
      }
      for (Peer& client : clients_) {
        if (client.out.size() > 1) send(socket_, client.routing, client.out);
      }
    }
  }

 private:
  struct Peer {
    std::string routing;
    std::string out;
    std::uint64_t load = 0;
  };

  void take(std::string from, std::string_view text) {
    const char type = text.front();
    text.remove_prefix(1);
    if (type == kJoin) {
      peers_.push_back({std::move(from), std::string(1, kTasks)});
      if (peers_.size() == workers_) parent_.write(kAllHere);
    } else if (type == kTasks) {
      std::string_view ahead = text;
      Peer& client = client_of(take_record(ahead));
      if (client.routing.empty()) client = {std::move(from), std::string(1, kResults)};
      while (!text.empty()) assign(take_record(text));
    } else {
      while (!text.empty()) {
        const Record record = take_record(text);
        --peers_[table_.take(record.id)].load;
        Peer& client = client_of(record);
        client.out.append(record.bytes);
        if (client.out.size() > kFlushBytes) send(socket_, client.routing, client.out);
      }
    }
  }

  Peer& client_of(const Record& record) { return clients_[record.id / kSecondClient]; }

  void assign(const Record& record) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < peers_.size(); ++i) {
      if (peers_[i].load < peers_[best].load) best = i;
    }
    Peer& worker = peers_[best];
    table_.add(record.id, static_cast<std::uint8_t>(best));
    ++worker.load;
    worker.out.append(record.bytes);
    if (worker.out.size() > kFlushBytes) send(socket_, worker.routing, worker.out);
  }

  const Pipe& parent_;
  zmq::context_t context_;
  zmq::socket_t socket_;
  std::size_t workers_;
  std::vector<Peer> peers_;
  std::array<Peer, 2> clients_;
  RoutingTable table_;
};

/// Calls `function`, if there is one, for each task, and sends the result before the next call.
[[noreturn]] void work(std::uint16_t port, const std::function<void()>& function) {
  zmq::context_t context;
  zmq::socket_t socket = dealer_to(context, port);
  (void)socket.send(zmq::buffer(std::string(1, kJoin)), zmq::send_flags::none);
  std::string out;
  for (;;) {
    zmq::message_t message;
    (void)socket.recv(message);
    std::string_view text = message.to_string_view();
    text.remove_prefix(1);
    out.assign(1, kResults);
    while (!text.empty()) {
      const Record record = take_record(text);
      if (function) function();
      append_record(out, record.id, record.payload);
      if (!function && !text.empty()) continue;
      (void)socket.send(zmq::buffer(out), zmq::send_flags::none);
      out.resize(1);
    }
  }
}

struct Flow {
  std::uint64_t window;    // tasks under way
  std::uint64_t together;  // tasks in a message
};
constexpr Flow kFull{kWindow, kTasksAMessage};

/// Returns the seconds from the first submit to the last result.
double submit_all(zmq::socket_t& socket, std::uint64_t tasks, Flow flow) {
  const std::string payload(kPayloadBytes, 'p');
  std::string out;
  std::uint64_t sent = 0;
  std::uint64_t done = 0;
  const auto begin = Clock::now();
  while (done < tasks) {
    while (sent < tasks && sent - done + flow.together <= flow.window) {
      out.assign(1, kTasks);
      for (std::uint64_t i = 0; i < flow.together && sent < tasks; ++i)
        append_record(out, static_cast<std::uint32_t>(sent++), payload);
      (void)socket.send(zmq::buffer(out), zmq::send_flags::none);
    }
    zmq::message_t message;
    for (bool wait = true; receive(socket, message, wait); wait = false) {
      std::string_view text = message.to_string_view();
      text.remove_prefix(1);
      while (!text.empty()) {
        WEFT_CHECK(take_record(text).payload == payload);
        ++done;
      }
    }
  }
  return seconds_since(begin);
}

/// Times one message after the other.
RoundTrip ask(zmq::socket_t& socket, int trips, const std::string& text) {
  std::vector<double> times;
  for (int i = -trips / 10; i < trips; ++i) {
    zmq::message_t message;
    const auto begin = Clock::now();
    (void)socket.send(zmq::buffer(text), zmq::send_flags::none);
    (void)socket.recv(message);
    if (i >= 0) times.push_back(us_since(begin));
  }
  return round_trip_of(times);
}

/// A child in which malloc serves messages of half a megabyte from memory that is already mapped.
Child in_child(const std::function<void()>& work) {
  return Child([&] {
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    work();
  });
}

/// A child process that calls `use` with a connected socket.
template <class F>
Child client_process(std::uint16_t port, const F& use) {
  return in_child([&] {
    zmq::context_t context;
    zmq::socket_t socket = dealer_to(context, port);
    use(socket);
  });
}

/// The return value of `use` in such a child.
template <class F>
auto from_client(std::uint16_t port, const F& use) {
  Pipe answer;
  Child client = client_process(port, [&](zmq::socket_t& socket) { answer.write(use(socket)); });
  client.join();
  return answer.read<decltype(use(std::declval<zmq::socket_t&>()))>();
}

/// The processes of broker and workers.
class Pipeline {
 public:
  explicit Pipeline(int workers, const std::function<void()>& function = {})
      : broker_(in_child([&] { Broker(port_pipe_, workers).run(); })),
        port_(port_pipe_.read<std::uint16_t>()) {
    for (int i = 0; i < workers; ++i) workers_.push_back(in_child([&] { work(port_, function); }));
    port_pipe_.read<std::uint16_t>();
  }

  std::uint16_t port() const { return port_; }

 private:
  Pipe port_pipe_;
  Child broker_;
  std::uint16_t port_;
  std::vector<Child> workers_;
};

}  // namespace

double packed_pipeline(std::uint64_t tasks) {
  const Pipeline pipeline(kWorkers);
  return from_client(pipeline.port(), [&](zmq::socket_t& socket) {
    submit_all(socket, tasks / 10, kFull);  // warm-up, so that buffers have grown
    return static_cast<double>(tasks) / submit_all(socket, tasks, kFull);
  });
}

double pipeline_seconds(int calls, const std::function<void()>& function, int workers) {
  const Pipeline pipeline(workers, function);
  return from_client(pipeline.port(), [&](zmq::socket_t& socket) {
    const Flow on_demand{static_cast<std::uint64_t>(workers) * 4, 1};
    submit_all(socket, static_cast<std::uint64_t>(workers), on_demand);
    return submit_all(socket, static_cast<std::uint64_t>(calls), on_demand);
  });
}

RoundTrip pipeline_round_trip(int trips, std::uint64_t window) {
  const Pipeline pipeline(kWorkers);
  const Flow flow{window, kTasksAMessage};
  Pipe filled;
  const Child load = client_process(pipeline.port(), [&](zmq::socket_t& socket) {
    submit_all(socket, kManyTasks / 10, flow);
    filled.write(true);
    submit_all(socket, UINT32_MAX / 2, flow);
  });
  filled.read<bool>();
  std::string task(1, kTasks);
  append_record(task, kSecondClient, std::string(kPayloadBytes, 'p'));
  return from_client(pipeline.port(), [&](zmq::socket_t& socket) { return ask(socket, trips, task); });
}

// ---- one message at a time ----

namespace {

[[noreturn]] void route(const Pipe& parent) {
  zmq::context_t context;
  zmq::socket_t socket = router(context, parent);
  std::string worker;
  std::string client;
  for (;;) {
    zmq::message_t from;
    zmq::message_t message;
    (void)socket.recv(from);
    (void)socket.recv(message);
    if (message.size() == 1) {
      worker = from.to_string();
      parent.write(kAllHere);
      continue;
    }
    if (client.empty()) client = from.to_string();
    const std::string& to = from.to_string_view() == worker ? client : worker;
    (void)socket.send(zmq::buffer(to), zmq::send_flags::sndmore);
    (void)socket.send(message, zmq::send_flags::none);
  }
}

[[noreturn]] void echo(std::uint16_t port) {
  zmq::context_t context;
  zmq::socket_t socket = dealer_to(context, port);
  (void)socket.send(zmq::buffer(std::string(1, kJoin)), zmq::send_flags::none);
  for (;;) {
    zmq::message_t message;
    (void)socket.recv(message);
    (void)socket.send(message, zmq::send_flags::none);
  }
}

}  // namespace

RoundTrip zmq_round_trip(int trips) {
  Pipe port_pipe;
  const Child broker([&] { route(port_pipe); });
  const auto port = port_pipe.read<std::uint16_t>();
  const Child worker([&] { echo(port); });
  port_pipe.read<std::uint16_t>();
  return from_client(
      port, [&](zmq::socket_t& socket) { return ask(socket, trips, std::string(kPayloadBytes, 'p')); });
}

}  // namespace weft::bench

// SPDX-License-Identifier: MIT
#include "tests/unit/fake_broker.hpp"

#include <typeinfo>

#include "common/system/hash.hpp"
#include "common/wire/codec.hpp"
#include "weft/function.hpp"

namespace weft::client::test {

namespace {
const Uuid kWorker = [] {
  Uuid id;
  id.bytes.fill(200);
  return id;
}();
}  // namespace

FakeBroker::FakeBroker(std::uint64_t epoch, int port)
    : epoch_(epoch), router_(context_, zmq::socket_type::router) {
  router_.set(zmq::sockopt::linger, 0);
  router_.set(zmq::sockopt::sndhwm, 0);  // a full ROUTER drops messages, and this broker limits no credit
  router_.set(zmq::sockopt::rcvhwm, 0);
  router_.bind("tcp://127.0.0.1:" + (port == 0 ? std::string("*") : std::to_string(port)));
  const std::string endpoint = router_.get(zmq::sockopt::last_endpoint);
  port_ = std::stoi(endpoint.substr(endpoint.rfind(':') + 1));
  thread_ = std::thread([this] { run(); });
}

FakeBroker::~FakeBroker() {
  stop_ = true;
  thread_.join();
}

void FakeBroker::run() {
  while (!stop_) {
    zmq::pollitem_t item{router_.handle(), 0, ZMQ_POLLIN, 0};
    zmq::poll(&item, 1, std::chrono::milliseconds(2));
    zmq::message_t peer;
    zmq::message_t frame;
    while (router_.recv(peer, zmq::recv_flags::dontwait)) {
      (void)router_.recv(frame);
      auto message = wire::decode(frame.to_string_view());
      if (message) take(peer.to_string(), *message);
    }
    if (hold) continue;
    for (auto it = held_.begin(); it != held_.end();) {
      Task& task = it->second;
      if (task.payload.is_blob() && task.argument.size() < task.payload.blob().size) {
        ++it;  // the argument has not arrived completely
        continue;
      }
      execute(task);
      it = held_.erase(it);
    }
  }
}

void FakeBroker::send(const std::string& peer, const wire::Message& message) {
  router_.send(zmq::buffer(peer), zmq::send_flags::sndmore);
  router_.send(zmq::buffer(wire::encode(message)), zmq::send_flags::none);
}

void FakeBroker::take(const std::string& peer, const wire::Message& message) {
  if (std::holds_alternative<wire::HelloClient>(message)) {
    client_ = peer;
    delivered_ = 0;
    held_.clear();
    send(peer, wire::Welcome{.epoch = epoch_, .heartbeat_ms = 1000, .liveness = 3});
  } else if (auto* define = std::get_if<wire::Define>(&message)) {
    specs_[define->spec] = define->content;
  } else if (auto* submit = std::get_if<wire::Submit>(&message)) {
    for (const auto& record : submit->tasks) accept(peer, record);
  } else if (auto* again = std::get_if<wire::Reannounce>(&message)) {
    for (const auto& record : again->tasks) accept(peer, {record.seq, record.spec, record.payload});
  } else if (auto* cancel = std::get_if<wire::Cancel>(&message)) {
    for (const std::uint64_t seq : cancel->seqs) {
      ++cancels;
      if (held_.erase(seq) != 0) deliver(seq, wire::Outcome::cancelled, wire::encode_error({}));
    }
  } else if (auto* data = std::get_if<wire::Data>(&message)) {
    for (auto& [seq, task] : held_) {
      if (!task.payload.is_blob() || task.payload.blob().id != data->id ||
          task.argument.size() != data->offset)
        continue;
      ++chunks;
      task.argument += data->bytes.view();
      const wire::BlobRef ref = task.payload.blob();
      if (task.argument.size() < ref.size) {
        send(peer, wire::Get{ref.holder, ref.id, task.argument.size(), wire::kChunkBytes});
      }
    }
  } else if (auto* get = std::get_if<wire::Get>(&message)) {
    const auto it = results_.find(get->id);
    if (it == results_.end() || results_lost) {
      send(peer, wire::Gone{get->id, "gone"});
    } else {
      send(peer, wire::Data{get->id, get->offset,
                            Bytes(std::string_view(it->second).substr(get->offset, get->bytes))});
    }
  } else if (std::holds_alternative<wire::Drop>(message)) {
    ++drops;
  } else if (std::holds_alternative<wire::Goodbye>(message)) {
    ++goodbyes;
  } else if (std::holds_alternative<wire::StatusRequest>(message)) {
    send(peer, wire::Status{.version = "0.1.0",
                            .epoch = epoch_,
                            .workers = workers,
                            .slots = 4,
                            .worker_list = {{.name = "w1", .slots = 4}}});
  } else if (std::holds_alternative<wire::Heartbeat>(message)) {
    send(peer, wire::Heartbeat{});
  }
}

void FakeBroker::accept(const std::string& peer, const wire::SubmitRecord& record) {
  Task task{record.seq, record.spec, record.payload, {}};
  send(peer, wire::Received{record.seq});
  if (record.payload.is_blob()) {
    const wire::BlobRef ref = record.payload.blob();
    send(peer, wire::Get{ref.holder, ref.id, 0, wire::kChunkBytes});
  }
  if (say_running) send(peer, wire::Running{{record.seq}});
  held_[record.seq] = std::move(task);
  ++arrived;
}

void FakeBroker::execute(Task& task) {
  ++executed;
  const wire::TaskSpec& spec = specs_.at(task.spec);
  try {
    if (spec.kind != wire::TaskKind::program) throw std::runtime_error("no such task: " + spec.function);
    const std::string_view argument =
        task.payload.is_blob() ? std::string_view(task.argument) : task.payload.inline_bytes();
    deliver(task.seq, wire::Outcome::ok,
            detail::registered_functions().at(spec.function_index).invoke(argument).take());
  } catch (const std::exception& error) {
    const wire::ErrorInfo info{
        .type = "std::runtime_error", .message = error.what(), .worker = "w1", .host = "h1"};
    deliver(task.seq, wire::Outcome::failed, wire::encode_error(info));
  }
}

void FakeBroker::deliver(std::uint64_t seq, wire::Outcome outcome, std::string payload) {
  wire::DeliveryRecord record{.seq = seq, .outcome = outcome};
  if (payload.size() > wire::kInlineBytesMax) {
    const wire::BlobRef ref{.holder = kWorker, .id = hash_of(payload), .size = payload.size()};
    results_[ref.id] = std::move(payload);
    record.payload = wire::Payload(ref);
  } else {
    record.payload = wire::Payload(std::string_view(payload));
  }
  send(client_, wire::Deliver{.first = ++delivered_, .records = {std::move(record)}});
}

}  // namespace weft::client::test

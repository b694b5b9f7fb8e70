// SPDX-License-Identifier: MIT
#include "client/connection/connection.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>

#include "client/connection/io_thread.hpp"
#include "common/net/link.hpp"
#include "common/system/blocked_signals.hpp"
#include "common/system/hash.hpp"
#include "common/system/standard_files.hpp"
#include "weft/error.hpp"

namespace weft::detail {

namespace {

// How long ~Client waits for callbacks and for the I/O thread; together less than the second that it may
// take.
constexpr std::chrono::milliseconds kCallbackPatience(300);
constexpr std::chrono::milliseconds kThreadPatience(600);
// How long ~Client waits for detached tasks, and cancels of detached tasks, that are in flight.
constexpr std::chrono::seconds kKeepPatience(10);

std::string count_text(std::size_t number, const char* noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string program_name() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string name(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return name.substr(name.rfind('/') + 1);
}

client::ClientCore::Settings settings_of(const ClientOptions& options, const Uuid& session) {
  return {.id = session,
          .jitter_seed = random_number(),
          .name = options.name.empty() ? program_name() + "@" + host_name() : options.name,
          .host = host_name(),
          .pid = static_cast<std::uint64_t>(::getpid()),
          .address = options.address,
          .connect_timeout = bounded(options.connect_timeout),
          .give_up = bounded(options.give_up)};
}

}  // namespace

/// The progress of the I/O thread.
struct Connection::Progress {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<std::string> greeting;  // argument of IoThread::Greeted: "" after WELCOME
  bool ended = false;
};

std::string text_of(const Inbox::Refusals& refusals) {
  return fmt::format(
      "{} refused, and will not run: {}",
      refusals.tasks == 1 ? "a detached task was" : fmt::format("{} detached tasks were", refusals.tasks),
      refusals.reason);
}

std::string broker_address(const std::string& address) {
  std::string wanted = address;
  if (wanted.empty()) {
    const char* from_environment = std::getenv("WEFT_BROKER");
    wanted = from_environment != nullptr && *from_environment != '\0' ? from_environment : "127.0.0.1:8786";
  }
  return endpoint_of(wanted);
}

Connection::Connection(ClientOptions options)
    : options_(std::move(options)), progress_(std::make_shared<Progress>()) {
  if (options_.connect_timeout.count() <= 0)
    throw std::invalid_argument("ClientOptions::connect_timeout must be positive");
  if (options_.give_up.count() < 0)
    throw std::invalid_argument("ClientOptions::give_up must not be negative");
  constexpr std::size_t kNameMax = 64 << 10;
  if (options_.name.size() > kNameMax)
    throw std::invalid_argument(
        fmt::format("ClientOptions::name is too large: it has {} bytes, at most {} are possible",
                    options_.name.size(), kNameMax));
  options_.address = broker_address(options_.address);
  open_standard_files();  // the program may have closed them
  const Uuid session = random_uuid();
  inbox_ = std::make_shared<Inbox>(session, options_.address);
  {
    const BlockedSignals blocked;
    thread_ = std::thread([settings = settings_of(options_, session), inbox = inbox_, progress = progress_] {
      const auto greeted = [&](const std::string& reason) {
        const std::lock_guard lock(progress->mutex);
        progress->greeting = reason;
        progress->changed.notify_all();
      };
      IoThread(settings, inbox, greeted).run();
      const std::lock_guard lock(progress->mutex);
      progress->ended = true;
      progress->changed.notify_all();
    });
  }
  std::unique_lock lock(progress_->mutex);
  progress_->changed.wait(lock, [&] { return progress_->greeting.has_value(); });
  const std::string reason = *progress_->greeting;
  lock.unlock();
  if (!reason.empty()) {
    stop();
    throw ConnectionError(reason +
                          "; is weft-broker running there? (weft::Client takes the address from its "
                          "argument, then from $WEFT_BROKER, then 127.0.0.1:8786)");
  }
}

Connection::~Connection() {
  if (inbox_->forked()) {  // a forked child: threads and connection belong to the parent
    if (thread_.joinable()) thread_.detach();
    // The Inbox is leaked deliberately: its threads do not exist here, and its mutexes may be locked.
    new std::shared_ptr<Inbox>(inbox_);
    return;
  }
  std::string why = fmt::format("within {} s", kKeepPatience.count());
  Inbox::Unsettled left;
  try {
    left = inbox_->settle(kKeepPatience, false);
  } catch (const ConnectionError& error) {
    why = fmt::format("before it was lost ({})", error.what());
    left = inbox_->unsettled();
  }
  if (left.tasks > 0)
    fmt::print(stderr, "weft: {} did not reach the broker's journal {}: {} lost\n",
               count_text(left.tasks, "detached task"), why, left.tasks == 1 ? "it is" : "they are");
  if (left.cancels > 0)
    fmt::print(stderr, "weft: {} of detached tasks did not reach the broker {}: those tasks may still run\n",
               count_text(left.cancels, "cancel"), why);
  if (const auto refusals = inbox_->take_refusals(); refusals.tasks > 0)
    fmt::print(stderr, "weft: {}\n", text_of(refusals));
  inbox_->close("");
  stop();
}

void Connection::stop() {
  inbox_->post(client::Close{});
  {
    std::unique_lock lock(progress_->mutex);
    const bool ended = progress_->changed.wait_for(lock, kThreadPatience, [&] { return progress_->ended; });
    lock.unlock();
    if (ended) {
      thread_.join();
    } else {
      thread_.detach();  // blocked, for example in a name lookup; the thread ends later
    }
  }
  inbox_->callbacks->stop(kCallbackPatience);
}

void Connection::check_usable() const {
  if (inbox_->forked()) throw Error("a weft::Client cannot be used after fork(): make one in the child");
}

}  // namespace weft::detail

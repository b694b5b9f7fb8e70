// SPDX-License-Identifier: MIT
#include "client/connection/inbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "client/connection/fork_guard.hpp"
#include "client/connection/program.hpp"
#include "client/core/failure.hpp"
#include "common/runner/mapped_objects.hpp"
#include "common/runner/tick_clock.hpp"

namespace weft::detail {

namespace {

// A larger Submit is split: a vector that grew with every submit would be reallocated and copied again and
// again.
constexpr std::size_t kTasksInEvent = 512;

int make_eventfd() {
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "weft::Client: eventfd");
  return fd;
}
}  // namespace

Inbox::Inbox(const Uuid& session, std::string broker)
    : address(std::move(broker)),
      callbacks(std::make_shared<CallbackThread>()),
      session_(session),
      generation_(client::fork_generation()),
      wake_fd_(make_eventfd()),
      specs_(
          [this](const std::string& function, const std::string& label) {
            IntrusivePtr<TaskInfo> info(new TaskInfo);
            info->session = session_;
            info->function = function;
            info->label = label;
            info->inbox = self_;
            return info;
          },
          [](std::uint32_t function_index, wire::TaskSpec& spec) {
            client::Program::current().describe(function_index, spec);
          }) {}

Inbox::~Inbox() { ::close(wake_fd_); }

Failure::~Failure() {
  if (arguments.is_blob()) inbox->arguments.release(arguments.blob().id);
}

bool Inbox::forked() const { return client::fork_generation() != generation_; }

void Inbox::submit(const std::shared_ptr<Inbox>& self, const CallTarget& target, const TaskOptions* options,
                   std::span<wire::SubmitRecord> records, std::span<IntrusivePtr<FutureState>> states) {
  // the first call hashes the program's files, which takes too long to do under the mutex
  if (target.kind == CallKind::program) client::Program::current();
  bool sleeps = false;
  {
    const std::lock_guard lock(mutex_);
    check_open();
    if (target.kind == CallKind::program) notice_libraries();
    self_ = self;
    const auto& spec = specs_.intern(target, options, events_);
    self_.reset();
    auto* last = events_.empty() ? nullptr : std::get_if<client::Submit>(&events_.back());
    if (last == nullptr || last->tasks.size() >= kTasksInEvent) {
      last = &std::get<client::Submit>(events_.emplace_back(client::Submit{}));
      last->tasks.reserve(records.size());
    }
    auto& tasks = last->tasks;
    spec.info->retain(static_cast<std::uint32_t>(records.size()));
    for (std::size_t i = 0; i < records.size(); ++i) {
      records[i].seq = next_seq_++;
      records[i].spec = spec.number;
      states[i]->open(records[i].seq, IntrusivePtr<TaskInfo>::adopt(spec.info.get()));
      opened_.push_back(std::move(states[i]));
      tasks.push_back(std::move(records[i]));
    }
    if (options != nullptr && options->detach) unsettled_.tasks += records.size();
    sleeps = !std::exchange(woken_, true);
  }
  if (!sleeps || lease.submit()) return;
  wake(true);
}

void Inbox::submit_again(const IntrusivePtr<TaskInfo>& info, const wire::Payload& arguments_of,
                         IntrusivePtr<FutureState> state) {
  bool sleeps = false;
  {
    const std::lock_guard lock(mutex_);
    check_open();
    if (arguments_of.is_blob()) arguments.retain(arguments_of.blob().id);
    const std::uint32_t spec = specs_.take_number();  // the earlier spec may have been forgotten
    const std::uint64_t seq = next_seq_++;
    events_.push_back(client::DefineSpec{spec, info->content});
    events_.push_back(client::Submit{{{.seq = seq, .spec = spec, .payload = arguments_of}}});
    events_.push_back(client::RetireSpec{spec});
    state->open(seq, info);
    opened_.push_back(std::move(state));
    if (info->content.detach) ++unsettled_.tasks;
    sleeps = !std::exchange(woken_, true);
  }
  wake(sleeps);
}

/// Libraries that the program has opened since the last submit are shipped with its functions from now on.
/// Asking the loader takes 60 ns, a sixth of a submit, so the loader is not asked again within a time that is
/// shorter than any dlopen() takes. REQUIRES: mutex_ is held.
void Inbox::notice_libraries() {
  constexpr std::uint64_t kTicksOfLoading = 10'000;
  const std::uint64_t now = runner::TickClock::ticks();
  if (loads_ != 0 && now - loads_at_ < kTicksOfLoading) return;
  loads_at_ = now;
  const std::uint64_t loads = loader_changes();
  if (loads == loads_) return;
  specs_.set_libraries(client::Program::current().hash_of_libraries());
  loads_ = loads;
}

/// REQUIRES: mutex_ is held.
void Inbox::check_open() const {
  if (closed_ && !reason_.empty()) throw ConnectionError(reason_);
  if (closed_) throw Error("this weft::Client is being destroyed and accepts no more tasks");
}

void Inbox::add_start_call(std::uint32_t function_index, std::string_view encoded) {
  wire::TaskSpec spec;
  client::Program::current().describe(function_index, spec);
  const std::lock_guard lock(mutex_);
  specs_.add_start_call({spec.signature, Bytes(encoded)});
}

wire::Payload Inbox::payload_of(std::string_view bytes) {
  if (bytes.size() <= wire::kInlineBytesMax) return wire::Payload(bytes);
  return wire::Payload(wire::BlobRef{.holder = session_, .id = arguments.add(bytes), .size = bytes.size()});
}

void Inbox::cancel(std::uint64_t seq, bool lasting) {
  bool sleeps = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    cancels_[seq] = lasting;
    if (lasting) ++unsettled_.cancels;
    if (!events_.empty() && std::holds_alternative<client::CancelTasks>(events_.back())) {
      std::get<client::CancelTasks>(events_.back()).seqs.push_back(seq);
    } else {
      events_.push_back(client::CancelTasks{{seq}});
    }
    sleeps = !std::exchange(woken_, true);
  }
  wake(sleeps);
}

void Inbox::taken(std::uint64_t seq) {
  if (!forked()) post(client::Taken{seq});
}

void Inbox::post(client::Event event) {
  bool sleeps = false;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ && !std::holds_alternative<client::Close>(event)) return;
    events_.push_back(std::move(event));
    sleeps = !std::exchange(woken_, true);
  }
  wake(sleeps);
}

/// Wake-ups are coalesced, one write for many submits: the I/O thread is awake until it has taken the inbox.
void Inbox::wake(bool needed) {
  if (!needed) return;
  const std::uint64_t one = 1;
  // write() fails only when the counter is full, but then the descriptor is readable
  (void)!::write(wake_fd_, &one, sizeof one);
  if (lease.is_free()) lease.reclaim();
}

bool Inbox::run_until(const FutureState& state, const FutureState::Deadline& deadline) {
  return lease.run_until([&] { return state.done(); }, deadline);
}

bool Inbox::has_news() {
  const std::lock_guard lock(mutex_);
  return woken_;
}

void Inbox::clear_wake() {
  std::uint64_t count = 0;
  (void)!::read(wake_fd_, &count, sizeof count);
}

void Inbox::take(std::vector<client::Event>& events, std::vector<IntrusivePtr<FutureState>>& opened,
                 std::uint64_t& first) {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  std::swap(events, events_);
  std::swap(opened, opened_);
  first = next_seq_ - opened.size();
}

Inbox::Unsettled Inbox::settle(std::optional<std::chrono::milliseconds> patience, bool all) {
  std::unique_lock lock(mutex_);
  const auto none = [&] { return unsettled_.none() && (!all || cancels_.empty()); };
  const auto settled = [&] { return none() || closed_; };
  if (patience) {
    settled_.wait_for(lock, *patience, settled);
  } else {
    settled_.wait(lock, settled);
  }
  if (!none() && closed_ && !reason_.empty()) throw ConnectionError(reason_);
  return unsettled_;
}

Inbox::Unsettled Inbox::unsettled() {
  const std::lock_guard lock(mutex_);
  return unsettled_;
}

Inbox::Refusals Inbox::take_refusals() {
  const std::lock_guard lock(mutex_);
  return std::exchange(refusals_, {});
}

void Inbox::mark_journaled(const client::MarkJournaled& mark) {
  const std::lock_guard lock(mutex_);
  unsettled_.tasks -= mark.tasks;
  if (mark.refused > 0 && refusals_.tasks == 0) refusals_.reason = mark.reason;
  refusals_.tasks += mark.refused;
  settled_.notify_all();
}

void Inbox::mark_settled(const client::CancelsSettled& settled) {
  const std::lock_guard lock(mutex_);
  for (const std::uint64_t seq : settled.seqs) {
    const auto found = cancels_.find(seq);
    if (found == cancels_.end()) continue;
    if (found->second) --unsettled_.cancels;
    cancels_.erase(found);
  }
  settled_.notify_all();
}

void Inbox::close(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  closed_ = true;
  settled_.notify_all();
  reason_ = reason;
  specs_.clear();  // breaks the reference cycle between this inbox and the TaskInfo of its specs
}

}  // namespace weft::detail

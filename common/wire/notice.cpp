// SPDX-License-Identifier: MIT
#include "common/wire/notice.hpp"

#include <fmt/format.h>

namespace weft {

namespace {

constexpr std::size_t kLabelShown = 60;  // characters

std::string count_of(std::uint64_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

double seconds_of(std::uint64_t us) { return static_cast<double>(us) / 1e6; }

std::string patience_of(std::uint64_t us) {
  return us == Notice::kForever ? "as long as it takes" : fmt::format("up to {} s", seconds_of(us));
}

std::string text_of_loss(const Notice& notice) {
  const auto& [tasks, patience, unused] = notice.numbers;
  std::string text = fmt::format("lost the broker at {} ({})", notice.name, notice.detail);
  if (patience != 0) return text + fmt::format("; waiting {} for it to come back", patience_of(patience));
  return text + fmt::format(", still holding {}", count_of(tasks, "task"));
}

std::string text_of_crash(const Notice& notice) {
  const auto& [crashes, limit, others] = notice.numbers;
  std::string text = fmt::format("task {} ({}", notice.task.text(), notice.name);
  if (!notice.label.empty()) text += fmt::format(", label \"{}\"", notice.label.substr(0, kLabelShown));
  text += ") crashed";
  if (!notice.place.empty()) text += " on worker " + notice.place;
  text += ": " + notice.detail;
  if (crashes != 0) text += fmt::format("; it runs again (crash {}", crashes);
  if (crashes != 0) text += limit != 0 ? fmt::format(" of {})", limit) : ")";
  if (others != 0) {
    text += fmt::format("; {} other crash{} since the last such line", others, others == 1 ? "" : "es");
  }
  return text;
}

}  // namespace

std::string text_of(const Notice& notice) {
  const auto& [kind, name, place, label, detail, task, numbers] = notice;
  switch (kind) {
    case NoticeKind::worker_joined:
      return fmt::format("worker {} joined from {} with {}", name, place, count_of(numbers[0], "slot"));
    case NoticeKind::worker_draining:
      return fmt::format("worker {} is draining", name);
    case NoticeKind::worker_lost:
      return fmt::format("worker {} is lost: {}", name, detail);
    case NoticeKind::worker_left:
      return fmt::format("worker {} has left ({}); {} queued again", name, detail,
                         count_of(numbers[0], "task"));
    case NoticeKind::worker_stalled:
    case NoticeKind::worker_held:
      return fmt::format("worker {}: {}", name, detail);
    case NoticeKind::worker_avoided:
      return fmt::format("worker {}: {} ({} % failed elsewhere); look for what is wrong with its host {}",
                         name, detail, numbers[0], place);
    case NoticeKind::worker_accepts:
      return fmt::format("worker {} accepts tasks again", name);
    case NoticeKind::client_joined:
      return fmt::format("client {} joined from {}", name, place);
    case NoticeKind::client_back:
      return fmt::format("client {} is back from {}", name, place);
    case NoticeKind::client_silent:
      return fmt::format(
          "client {} is silent: {}; what runs goes on, nothing new starts, for {:.0f} s at most", name,
          detail, seconds_of(numbers[0]));
    case NoticeKind::client_heard:
      return fmt::format("client {} is heard again", name);
    case NoticeKind::client_lost:
      return fmt::format(
          "client {} is lost: {}; it may come back within {:.1f} s, what runs goes on until then", name,
          detail, seconds_of(numbers[0]));
    case NoticeKind::client_left:
      return fmt::format("client {} has left ({}); {} cancelled ({} with workers), {} go on", name,
                         detail.empty() ? "no reason given" : detail, count_of(numbers[0], "open task"),
                         numbers[1], count_of(numbers[2], "detached task"));
    case NoticeKind::tasks_wait:
      return fmt::format("{} of {} {}: {}", count_of(numbers[0], "task"), name,
                         numbers[0] == 1 ? "waits" : "wait", detail);
    case NoticeKind::message_refused:
      return "a message was refused: " + detail;
    case NoticeKind::journal_refused:
      return "the journal cannot be written, and detached tasks are refused: " + detail;
    case NoticeKind::journal_read:
      return fmt::format("the journal has {} and {} to be fetched",
                         count_of(numbers[0], "open detached task"), count_of(numbers[1], "answer"));
    case NoticeKind::answer_expired:
      return fmt::format("the answer of detached task {} was not fetched in time: it is dropped",
                         task.text());
    case NoticeKind::result_lost:
      return fmt::format("the result of task {} is lost: {}{}", task.text(), detail,
                         numbers[0] != 0 ? "; the task runs again" : "");
    case NoticeKind::broker_joined:
      return fmt::format("joined the broker at {}, epoch {:016x}, with {} as {}", name, numbers[0],
                         count_of(numbers[1], "slot"), place);
    case NoticeKind::broker_awaited:
      return fmt::format("waiting for a broker at {} ({}), trying again in {:.1f} s", name, detail,
                         seconds_of(numbers[0]));
    case NoticeKind::broker_silent:
      return fmt::format("the broker at {} is silent; still holding {}", name, count_of(numbers[0], "task"));
    case NoticeKind::message_unhandled:
      return "the broker sent a message that a worker does not handle: " + detail;
    case NoticeKind::memory_short:
      return fmt::format("{}: no new tasks are accepted until it is below {} %", detail, numbers[0]);
    case NoticeKind::memory_one_task:
      return detail + ", and nothing runs here: one task at a time is accepted";
    case NoticeKind::memory_enough:
      return "there is enough memory again: tasks are accepted";
    case NoticeKind::runner_replaced:
      return fmt::format(
          "the runner in slot {} has exited to be replaced, for the reason it has logged above", numbers[0]);
    case NoticeKind::runner_ended:
      return fmt::format("the idle runner in slot {} ended: {}", numbers[0], detail);
    case NoticeKind::program_refused:
      return detail;
    case NoticeKind::blob_missing:
      return fmt::format("blob {} could not be fetched: {}", name, detail);
    case NoticeKind::worker_drains:
      return fmt::format("draining: {} here; running tasks may finish", count_of(numbers[0], "task"));
    case NoticeKind::worker_exits:
      return "leaving: " + detail;
    case NoticeKind::broker_lost:
      return text_of_loss(notice);
    case NoticeKind::task_crashed:
      return text_of_crash(notice);
    case NoticeKind::broker_missing:
      return fmt::format("no broker answers at {} ({}); waiting {} for one: is weft-broker running there?",
                         name, detail, patience_of(numbers[1]));
    case NoticeKind::broker_back:
      return fmt::format("the broker at {} is back", name);
  }
  return "unknown notice";
}

NoticeLevel level_of(const Notice& notice) {
  switch (notice.kind) {
    case NoticeKind::worker_exits:
      return notice.numbers[0] == 0 ? NoticeLevel::info : NoticeLevel::error;
    case NoticeKind::worker_joined:
    case NoticeKind::worker_draining:
    case NoticeKind::worker_accepts:
    case NoticeKind::client_joined:
    case NoticeKind::client_back:
    case NoticeKind::client_heard:
    case NoticeKind::client_left:
    case NoticeKind::journal_read:
    case NoticeKind::answer_expired:
    case NoticeKind::broker_joined:
    case NoticeKind::broker_awaited:
    case NoticeKind::memory_enough:
    case NoticeKind::runner_replaced:
    case NoticeKind::worker_drains:
      return NoticeLevel::info;
    default:
      return NoticeLevel::warning;
  }
}

}  // namespace weft

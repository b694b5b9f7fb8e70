// SPDX-License-Identifier: MIT
// State that a task leaves behind in its runner, over the real channel: the next task must not find it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cfenv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <locale>
#include <sstream>
#include <thread>

#include "tests/support/temp_directory.hpp"
#include "tests/unit/child_runner.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

using namespace weft;
using namespace weft::runner;

namespace state_test {

std::string disposition(int number) {
  struct sigaction action {};
  sigaction(number, nullptr, &action);
  if (action.sa_handler == SIG_DFL) return "default";
  return action.sa_handler == SIG_IGN ? "ignored" : "caught";
}

std::string timer(int which) {
  itimerval value{};
  getitimer(static_cast<__itimer_which>(which), &value);
  return timerisset(&value.it_value) ? "runs" : "off";
}

/// All the state that can be printed.
std::string state() {
  std::ostringstream out;
  out << "rounding " << std::fegetround() << ", traps " << fegetexcept() << ", flags "
      << std::fetestexcept(FE_ALL_EXCEPT);
#if defined(__x86_64__)
  std::uint16_t control = 0;
  asm volatile("fnstcw %0" : "=m"(control));
  out << ", mxcsr " << _mm_getcsr() << ", x87 " << control;
#endif
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  for (int number = 1; number < NSIG; ++number) out << (sigismember(&blocked, number) == 1 ? " b" : "");
  for (int number : {SIGINT, SIGCHLD, SIGPIPE, SIGUSR1, SIGALRM, SIGRTMIN + 3})
    out << ", " << number << " " << disposition(number);
  const mode_t mask = umask(0);
  umask(mask);
  out << ", umask " << mask;
  struct stat here {};
  out << ", in " << (stat(".", &here) == 0 ? std::filesystem::current_path().string() : "nowhere");
  out << ", timers " << timer(ITIMER_REAL) << timer(ITIMER_VIRTUAL) << timer(ITIMER_PROF);
  int variables = 0;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) ++variables;
  const char* path = std::getenv("PATH");
  out << ", " << variables << " variables, PATH " << (path != nullptr ? path : "none");
  out << ", locale " << setlocale(LC_ALL, nullptr) << (uselocale(nullptr) == LC_GLOBAL_LOCALE) << " "
      << std::locale().name();
  for (std::ostream* stream : {&std::cout, &std::cerr}) {
    out << ", stream " << stream->flags() << " " << stream->precision() << " '" << stream->fill() << "' "
        << stream->rdstate() << stream->exceptions() << (stream->rdbuf() != nullptr);
  }
  out << ", nice " << getpriority(PRIO_PROCESS, 0);
  for (const auto which : {RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_FSIZE, RLIMIT_CORE}) {
    rlimit limit{};
    getrlimit(which, &limit);
    out << ", limit " << limit.rlim_cur;
  }
  cpu_set_t cpus{};
  sched_getaffinity(0, sizeof cpus, &cpus);
  out << ", " << CPU_COUNT(&cpus) << " processors";
  for (int fd = 0; fd < 3; ++fd) {
    struct stat file {};
    if (fstat(fd, &file) != 0) file.st_ino = 0;
    out << ", file " << file.st_ino << " " << (fcntl(fd, F_GETFL) & O_NONBLOCK);
  }
  return out.str();
}

void rounds_up() { std::fesetround(FE_UPWARD); }
void traps() { feenableexcept(FE_OVERFLOW); }
void raises_flags() { std::feraiseexcept(FE_DIVBYZERO); }
void flushes_to_zero() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ and DAZ
#endif
}
void uses_x87_in_single_precision() {
#if defined(__x86_64__)
  const std::uint16_t control = 0x007f;
  asm volatile("fldcw %0\n\tfld1" : : "m"(control));
#endif
}
void blocks_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}
void blocks_and_sends() {
  blocks_signals();
  std::raise(SIGUSR1);
}
void ignores_signals() {
  for (int number : {SIGINT, SIGCHLD, SIGPIPE, SIGRTMIN + 3}) std::signal(number, SIG_IGN);
}
void catches_signals() {
  for (int number : {SIGUSR1, SIGALRM}) std::signal(number, [](int) {});
}
void masks_files() { umask(0777); }
void moves() { std::filesystem::current_path("/"); }
void removes_directory() { std::filesystem::remove(std::filesystem::current_path()); }
void starts_timers() {
  const itimerval soon{{0, 0}, {0, 100'000}};
  for (const auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) setitimer(which, &soon, nullptr);
}
void starts_posix_timer() {
  timer_t id;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR2;
  const itimerspec soon{{0, 0}, {0, 50'000'000}};
  if (timer_create(CLOCK_MONOTONIC, &event, &id) == 0) timer_settime(id, 0, &soon, nullptr);
}
void sleeps() { std::this_thread::sleep_for(std::chrono::milliseconds(150)); }
void sets_variables() {
  setenv("PATH", "/nowhere", 1);
  setenv("WEFT_TEST_LEFT", "1", 1);
}
void unsets_variable() { unsetenv("PATH"); }
void puts_variable() {
  static char text[] = "PATH=/put";
  putenv(text);
}
void overwrites_variable() { std::getenv("PATH")[0] = '!'; }
void clears_variables() { clearenv(); }
void sets_locale() { setlocale(LC_ALL, "C.UTF-8"); }
void sets_global_locale() { std::locale::global(std::locale("C.UTF-8")); }
void sets_thread_locale() { uselocale(newlocale(LC_ALL_MASK, "C.UTF-8", nullptr)); }
void formats() {
  std::cout << std::hex << std::setprecision(3) << std::setfill('*');
  std::cerr << std::scientific;
}
void breaks_streams() {
  std::cout.exceptions(std::ios_base::failbit);
  std::cerr.setstate(std::ios_base::badbit);
}
void captures_stream() {
  std::ostringstream here;
  std::cout.rdbuf(here.rdbuf());
  std::cout << "captured";
}
void is_nicer() { [[maybe_unused]] const int now = nice(3); }
void lowers_limits() {
  for (const auto which : {RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_FSIZE}) {
    rlimit limit{};
    getrlimit(which, &limit);
    limit.rlim_cur = 1 << 20;
    if (which == RLIMIT_NOFILE) limit.rlim_cur = 64;
    setrlimit(which, &limit);
  }
}
void pins_itself() {
  cpu_set_t cpus{};
  sched_getaffinity(0, sizeof cpus, &cpus);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &cpus)) continue;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    return;
  }
}
void redirects_output() {
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (int fd : {1, 2}) dup2(null, fd);
  close(null);
  close(0);
}
void makes_output_nonblocking() { fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK); }
void throws_with_all() {
  rounds_up();
  blocks_signals();
  sets_variables();
  moves();
  throw std::runtime_error("thrown");
}

int started = 0;
void starts_up(const std::string& value) {
  setenv("WEFT_TEST_STARTED", value.c_str(), 1);
  setlocale(LC_ALL, "C.UTF-8");
  std::fesetround(FE_DOWNWARD);
  std::signal(SIGUSR1, SIG_IGN);
  std::cout << std::hex;
  ++started;
}
void fails_to_start() { throw std::runtime_error("no licence"); }
std::string how_it_started() {
  const char* value = std::getenv("WEFT_TEST_STARTED");
  return std::to_string(started) + " " + (value != nullptr ? value : "none") + " " +
         setlocale(LC_ALL, nullptr) + " " + (std::fegetround() == FE_DOWNWARD ? "down" : "other") + " " +
         disposition(SIGUSR1) + " " + ((std::cout.flags() & std::ios_base::hex) != 0 ? "hex" : "other");
}
void leaks(int count) {
  for (int i = 0; i < count; ++i) [[maybe_unused]] const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
void closes_stdout() { std::fclose(stdout); }
void maybe_changes(bool really) {
  if (!really) return;
  blocks_signals();
  masks_files();
  rounds_up();
  setenv("PATH", "/nowhere", 1);
}

void prints_by_stdio() { std::printf("four"); }
void prints_by_stream() { std::cout << "five!" << std::flush; }
void writes() { [[maybe_unused]] const auto size = write(1, "\xff\xfe\0", 3); }
void prints_by_child() { [[maybe_unused]] const int code = std::system("printf child"); }
void prints_again() { std::cout << "again"; }
void prints_unsynced() {
  std::ios_base::sync_with_stdio(false);
  std::cout << "unsynced";
}

}  // namespace state_test

using namespace state_test;

TEST_SUITE("runner state") {
  TEST_CASE("what a task changes in its process, the next one does not find") {
    const support::TempDirectory directory;
    const auto before_test = std::filesystem::current_path();
    std::filesystem::current_path(directory.path());
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    ChildRunner runner(pipe_ends[1]);
    close(pipe_ends[1]);
    std::filesystem::current_path(before_test);
    (void)runner.hello();
    runner.run<state>();
    const auto wanted = runner.result<std::string>();
    const auto check = [&]<auto F>(std::integral_constant<decltype(F), F>, const char* what) {
      CAPTURE(what);
      for (int round = 0; round < 2; ++round) {
        runner.run<F>();
        runner.done();
        runner.run<state>();
        CHECK(runner.result<std::string>() == wanted);
      }
    };
#define CHECK_AFTER(f) check(std::integral_constant<decltype(&f), &f>{}, #f)
    CHECK_AFTER(rounds_up);
    CHECK_AFTER(traps);
    CHECK_AFTER(raises_flags);
    CHECK_AFTER(flushes_to_zero);
    CHECK_AFTER(uses_x87_in_single_precision);
    CHECK_AFTER(blocks_signals);
    CHECK_AFTER(blocks_and_sends);
    CHECK_AFTER(ignores_signals);
    CHECK_AFTER(catches_signals);
    CHECK_AFTER(masks_files);
    CHECK_AFTER(moves);
    CHECK_AFTER(removes_directory);
    CHECK_AFTER(starts_timers);
    CHECK_AFTER(starts_posix_timer);
    CHECK_AFTER(sleeps);  // so that a leftover timer would end it
    CHECK_AFTER(sets_variables);
    CHECK_AFTER(unsets_variable);
    CHECK_AFTER(puts_variable);
    CHECK_AFTER(overwrites_variable);
    CHECK_AFTER(clears_variables);
    CHECK_AFTER(sets_locale);
    CHECK_AFTER(sets_global_locale);
    CHECK_AFTER(sets_thread_locale);
    CHECK_AFTER(formats);
    CHECK_AFTER(breaks_streams);
    CHECK_AFTER(captures_stream);
    CHECK_AFTER(lowers_limits);
    CHECK_AFTER(pins_itself);
    CHECK_AFTER(redirects_output);
    CHECK_AFTER(makes_output_nonblocking);
    CHECK_AFTER(throws_with_all);
    if (geteuid() == 0) CHECK_AFTER(is_nicer);  // only root may undo it
#undef CHECK_AFTER
    close(pipe_ends[0]);
  }

  TEST_CASE("a function that has changed nothing a hundred times is still looked at") {
    ChildRunner runner;
    (void)runner.hello();
    runner.run<state>();
    const auto wanted = runner.result<std::string>();
    for (int i = 0; i < 100; ++i) {
      runner.run<maybe_changes>(false);
      runner.done();
    }
    for (int i = 0; i < 3; ++i) {
      runner.run<maybe_changes>(true);
      runner.done();
      runner.run<state>();
      CHECK(runner.result<std::string>() == wanted);
    }
  }

  TEST_CASE("a runner that cannot be put back, or is short of descriptors, leaves between two tasks") {
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit few = before;
    few.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &few);
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    ChildRunner runner(pipe_ends[1]);
    setrlimit(RLIMIT_NOFILE, &before);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    (void)runner.hello();
    std::uint64_t answers = 0;
    SUBCASE("descriptors") {
      for (int i = 0; i < 50; ++i) runner.run<leaks>(10);
    }
    SUBCASE("stdout") {
      for (int i = 0; i < 50; ++i) runner.run<closes_stdout>();
    }
    CHECK(runner.status() == kExitReplace);
    while (runner.next().kind == Received::Kind::message) ++answers;
    CHECK(answers > 0);
    CHECK(answers < 20);
    CHECK(runner.page().started == answers);
    CHECK(runner.page().finished == answers);
  }

  TEST_CASE("a call at the start of a runner is made once, and what it leaves behind stays") {
    ChildRunner runner;
    (void)runner.hello();
    const auto no_arguments = detail::encode(std::tuple<>());
    const auto call = [](const std::string& value) {
      return wire::StartCall{definition_of_function<starts_up>(),
                             Bytes(detail::Call<starts_up>::encode(value))};
    };
    const auto how = [&](std::vector<wire::StartCall> start) {
      runner.run_payload<how_it_started>(no_arguments, "", std::move(start));
      return runner.result<std::string>();
    };
    CHECK(how({}) == "0 none C other default other");
    CHECK(how({call("one")}) == "1 one C.UTF-8 down ignored hex");
    CHECK(how({call("one")}) == "1 one C.UTF-8 down ignored hex");
    runner.run<sets_variables>();
    runner.run<rounds_up>();
    runner.run<catches_signals>();
    for (int i = 0; i < 3; ++i) runner.result<void>();
    CHECK(how({}) == "1 one C.UTF-8 down ignored hex");
    CHECK(how({call("one"), call("two")}) == "2 two C.UTF-8 down ignored hex");
    runner.run_payload<how_it_started>(no_arguments, "",
                                       {{definition_of_function<fails_to_start>(), Bytes(no_arguments)}});
    const wire::ErrorInfo info = runner.failure();
    CHECK(info.type == "std::runtime_error");
    CHECK(info.message ==
          "state_test::fails_to_start, which has to run before (on_worker_start), threw: no licence");
    CHECK(how({call("one")}) == "2 two C.UTF-8 down ignored hex");
  }

  TEST_CASE("how much a task has printed is told with its answer, by whatever way it did") {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    ChildRunner runner(ends[1]);
    close(ends[1]);
    (void)runner.hello();
    const std::uint64_t start = runner.printed().out;
    const auto prints = [&](std::uint64_t bytes) {
      runner.done();
      CHECK(runner.printed().out == start + bytes);
    };
    runner.run<prints_by_stdio>();
    prints(4);
    runner.run<prints_by_stream>();
    prints(9);
    runner.run<writes>();
    prints(12);
    runner.run<prints_by_child>();
    prints(17);
    runner.run<prints_unsynced>();
    prints(25);
    runner.run<prints_again>();
    prints(30);
    close(ends[0]);
  }
}

/*
 * The floor of bench/sync.ts: the same handoffs between two parked processes by the same futex calls, in
 * C. Prints the medians in nanoseconds, as JSON. Arguments: rounds, and `pinned` for a processor each.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PI2 13 /* FUTEX_LOCK_PI2 of Linux 5.14 */

typedef _Atomic int Word;

/* Words in their own cache lines: whose turn it is, the mutex, the word that changes. */
enum { TURN = 0, MUTEX = 16, CHANGE = 32, STAMP = 48 };

static Word *words;

static long futex(int word, int operation, int value, struct timespec *timeout) {
  return syscall(SYS_futex, words + word, operation, value, timeout, 0, 0);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void set(int word, int value) {
  atomic_store(words + word, value);
  futex(word, FUTEX_WAKE, 1, 0);
}

static void await(int word, int value) {
  struct timespec second = {1, 0};
  for (int seen; (seen = atomic_load(words + word)) != value;) {
    futex(word, FUTEX_WAIT, seen, &second);
  }
}

static void lock(int thread) {
  int free = 0;
  if (atomic_compare_exchange_strong(words + MUTEX, &free, thread)) return;
  do {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    futex(MUTEX, LOCK_PI2, 0, &until);
  } while ((atomic_load(words + MUTEX) & FUTEX_TID_MASK) != thread);
}

static void unlock(int thread) {
  int mine = thread;
  if (!atomic_compare_exchange_strong(words + MUTEX, &mine, 0)) futex(MUTEX, FUTEX_UNLOCK_PI, 0, 0);
}

static int ascending(const void *a, const void *b) {
  return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b);
}

static double median(double *values, int count) {
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

int main(int count, char **arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 1000;
  words = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  volatile double *stamp = (double *)(words + STAMP);
  double *handoff = calloc(rounds, sizeof *handoff), *change = calloc(rounds, sizeof *change);
  int second = fork() == 0;
  if (count > 2) {
    cpu_set_t processor;
    CPU_ZERO(&processor);
    CPU_SET(second ? 0 : 1, &processor);
    if (sched_setaffinity(0, sizeof processor, &processor) != 0) return 1;
  }
  int thread = syscall(SYS_gettid);
  struct timespec nap = {0, 200000};
  for (int i = 0; i < rounds; i++) {
    if (!second) {
      lock(thread);
      set(TURN, 3 * i + 1);
      nanosleep(&nap, 0); /* the other one is parked by now */
      *stamp = now();
      unlock(thread);
      await(TURN, 3 * i + 2);
      nanosleep(&nap, 0);
      *stamp = now();
      set(CHANGE, i + 1);
      await(TURN, 3 * i + 3);
    } else {
      await(TURN, 3 * i + 1);
      lock(thread);
      handoff[i] = now() - *stamp;
      unlock(thread);
      set(TURN, 3 * i + 2);
      await(CHANGE, i + 1);
      change[i] = now() - *stamp;
      set(TURN, 3 * i + 3);
    }
  }
  if (!second) return wait(0), 0;
  printf("{\"handoff\":%.0f,\"change\":%.0f}\n", median(handoff, rounds), median(change, rounds));
  return 0;
}

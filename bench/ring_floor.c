/*
 * The floor of bench/ring.ts: the protocols of src/ring/record_layout.ts and queue_layout.ts in C, and a futex.
 * Arguments: what, how often, and `pinned` to keep both sides on processors of their own. Prints nanoseconds and, where there is one, a checksum, as JSON.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef _Atomic int32_t Word;

enum { MESSAGE = 64, SIZE = MESSAGE + 8, CAPACITY = 1 << 20, RECORD = 200, RECORDS = 100000, BATCH = 20 };
/* Words of a queue, each in its own 128 bytes. */
enum { TAIL = 32, ROOM = 64, HEAD = 96, TAKEN = 128, BELL = 160, SLOT = 192, DATA = 256 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b);
}

static double median(double *values, int count) {
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

static void *shared(size_t size) {
  return mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

static void pause_(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

/* Whether each side is to stay on a processor of its own. */
static int is_pinned;

static void pin(int processor) {
  if (!is_pinned) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) exit(1);
}

static Word *make_queue(void) { return shared(DATA * 4 + CAPACITY); }

/* Claims, writes and hands over one message; 0 if there is no room. The rest of the ring is skipped. */
static int write_message(Word *queue, const void *message) {
  int32_t tail, place, padding;
  do {
    tail = atomic_load(queue + TAIL);
    place = tail & (CAPACITY - 1);
    padding = CAPACITY - place < SIZE ? CAPACITY - place : 0;
    if (tail + padding + SIZE - atomic_load_explicit(queue + ROOM, memory_order_relaxed) > CAPACITY) {
      int32_t head = atomic_load(queue + HEAD);
      if (tail + padding + SIZE - head > CAPACITY) return 0;
      atomic_store_explicit(queue + ROOM, head, memory_order_relaxed);
    }
    atomic_store_explicit(queue + SLOT, tail | 1, memory_order_relaxed);
  } while (!atomic_compare_exchange_strong(queue + TAIL, &tail, tail + padding + SIZE));
  Word *first = queue + DATA + place / 4, *at = padding ? queue + DATA : first;
  atomic_store_explicit(first, -(padding ? padding + SIZE : SIZE), memory_order_relaxed);
  memcpy((char *)at + 8, message, MESSAGE);
  atomic_store_explicit(at + 1, 1, memory_order_relaxed);
  atomic_store(at, SIZE);
  if (padding) {
    atomic_store_explicit(first + 1, -1, memory_order_relaxed);
    atomic_store(first, padding);
  }
  if (atomic_load(queue + BELL)) syscall(SYS_futex, queue + BELL, FUTEX_WAKE, 1, 0, 0, 0);
  atomic_store_explicit(queue + SLOT, 0, memory_order_relaxed);
  return 1;
}

typedef struct {
  int32_t head, taken;
} Reader;

static void give_back(Word *queue, Reader *reader) {
  int32_t size = reader->taken - reader->head, place = reader->head & (CAPACITY - 1);
  if (size == 0) return;
  int32_t first = place + size > CAPACITY ? CAPACITY - place : size;
  memset((char *)(queue + DATA) + place, 0, first);
  memset((char *)(queue + DATA), 0, size - first);
  reader->head = reader->taken;
  atomic_store(queue + HEAD, reader->head);
}

/* Hands out what is there; how many messages. Adds their first words up. */
static int read_messages(Word *queue, Reader *reader, uint32_t *sum) {
  int count = 0;
  int32_t start = reader->taken, scratch[MESSAGE / 4];
  while (reader->taken - start < CAPACITY) {
    Word *at = queue + DATA + (reader->taken & (CAPACITY - 1)) / 4;
    int32_t length = atomic_load_explicit(at, memory_order_acquire);
    if (length <= 0) break;
    int32_t type = atomic_load_explicit(at + 1, memory_order_relaxed);
    reader->taken += (length + 7) & ~7;
    atomic_store_explicit(queue + TAKEN, reader->taken, memory_order_relaxed);
    if (type != -1) {
      memcpy(scratch, (char *)at + 8, MESSAGE);
      *sum += scratch[0];
      count++;
    }
    if (reader->taken - reader->head >= CAPACITY / 4) give_back(queue, reader);
  }
  give_back(queue, reader);
  return count;
}

static void throughput(int count) {
  Word *queue = make_queue();
  if (fork() == 0) {
    int32_t message[MESSAGE / 4] = {0};
    for (int i = 0; i < count; i++) {
      message[0] = i;
      while (!write_message(queue, message)) pause_();
    }
    _exit(0);
  }
  Reader reader = {0, 0};
  uint32_t sum = 0;
  int seen = 0;
  while ((seen += read_messages(queue, &reader, &sum)) == 0) pause_();
  double start = now();
  int first = seen;
  while (seen < count) seen += read_messages(queue, &reader, &sum);
  printf("{\"ns\":%.2f,\"sum\":%u}\n", (now() - start) / (count - first), sum);
  wait(0);
}

/* Half of the time of a message there and back, both sides spinning. */
static void latency(int rounds) {
  Word *there = make_queue(), *back = make_queue();
  int32_t message[MESSAGE / 4] = {0};
  uint32_t sum = 0;
  Reader reader = {0, 0};
  pin(0);
  if (fork() == 0) {
    pin(1);
    for (int i = 0; i < rounds; i++) {
      while (read_messages(there, &reader, &sum) == 0) pause_();
      write_message(back, message);
    }
    _exit(0);
  }
  double *times = calloc(rounds, sizeof *times);
  int count = rounds / BATCH;
  for (int i = 0; i < count; i++) {
    double start = now();
    for (int j = 0; j < BATCH; j++) {
      write_message(there, message);
      while (read_messages(back, &reader, &sum) == 0) pause_();
    }
    times[i] = (now() - start) / 2 / BATCH;
  }
  wait(0);
  printf("{\"ns\":%.2f}\n", median(times + count / 2, count - count / 2));
}

/* From a wake to a parked process. */
static void parked(int rounds) {
  Word *words = shared(4096);
  volatile double *stamp = (double *)(words + 64);
  struct timespec nap = {0, 200000};
  pin(0);
  if (fork() == 0) {
    pin(1);
    for (int i = 0; i < rounds; i++) {
      nanosleep(&nap, 0);
      *stamp = now();
      atomic_store(words, i + 1);
      syscall(SYS_futex, words, FUTEX_WAKE, 1, 0, 0, 0);
      while (atomic_load(words + 32) != i + 1) pause_();
    }
    _exit(0);
  }
  double *times = calloc(rounds, sizeof *times);
  for (int i = 0; i < rounds; i++) {
    while (atomic_load(words) != i + 1) syscall(SYS_futex, words, FUTEX_WAIT, i, 0, 0, 0);
    times[i] = now() - *stamp;
    atomic_store(words + 32, i + 1);
  }
  wait(0);
  printf("{\"ns\":%.2f}\n", median(times, rounds));
}

/* Writes of records to the mapped file that is given. */
static void records(int count, int fd) {
  char *file = mmap(0, 16 + RECORDS * RECORD + 256, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  Word *words = (Word *)file, *trailer = (Word *)(file + (16 + RECORDS * RECORD + 63) / 64 * 64 + 64);
  unsigned char record[RECORD] = {0};
  double start = now();
  int place = 0;
  for (int i = 0; i < count; i++) {
    record[0] = i;
    if (i >= RECORDS) atomic_store_explicit(words + 2, RECORDS - 1, memory_order_relaxed);
    atomic_store_explicit(trailer, i + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(file + 16 + (size_t)place * RECORD, record, RECORD);
    if (++place == RECORDS) place = 0;
    atomic_store_explicit(words, place, memory_order_release);
    atomic_store_explicit(words + 2, i + 1 < RECORDS ? i + 1 : RECORDS, memory_order_relaxed);
  }
  double time = now() - start;
  uint32_t sum = 0;
  for (int i = 0; i < RECORDS; i++) sum += (unsigned char)file[16 + i * RECORD];
  printf("{\"ns\":%.2f,\"sum\":%u}\n", time / count, sum);
}

int main(int count, char **arguments) {
  if (count < 3) return 1;
  int times = atoi(arguments[2]);
  is_pinned = count > 3;
  switch (*arguments[1]) {
    case 't': throughput(times); break;
    case 'l': latency(times); break;
    case 'p': parked(times); break;
    case 'r': records(times, 0); break;
    default: return 1;
  }
  return 0;
}

/*
 * The rival of bench/pool.ts: malloc and free of one block, in C; of jemalloc where it is preloaded. Prints
 * the median in nanoseconds a pair. Arguments: bytes, pairs a round, rounds.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int count, char **arguments) {
  if (count != 4) return 1;
  size_t bytes = atol(arguments[1]);
  long pairs = atol(arguments[2]), rounds = atol(arguments[3]);
  double *times = calloc(rounds, sizeof *times);
  unsigned long sum = 0;
  for (long round = 0; round < rounds; round++) {
    double start = now();
    for (long i = 0; i < pairs; i++) {
      /* volatile: the compiler may drop pairs that nobody looks at */
      char *volatile block = malloc(bytes);
      sum += (unsigned long)block & 7;
      free(block);
    }
    times[round] = (now() - start) / pairs;
  }
  qsort(times, rounds, sizeof *times, ascending);
  printf("%.2f %lu\n", times[rounds / 2], sum);
  return 0;
}

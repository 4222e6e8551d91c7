/*
 * The floor: what the peers' rows cost in C. Reads one request a line, answers each with
 * nanoseconds and a result that every contestant must agree on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

static char *map; /* the file in use */
static size_t size;
static int fd = -1;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *map_file(const char *path, int writable, size_t *length, int *descriptor) {
  struct stat s;
  *descriptor = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (*descriptor < 0 || fstat(*descriptor, &s) != 0) die(path);
  *length = s.st_size;
  char *p = mmap(0, s.st_size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, *descriptor, 0);
  if (p == MAP_FAILED) die("mmap");
  return p;
}

static void drop(void) {
  if (map) munmap(map, size);
  if (fd >= 0) close(fd);
  map = 0;
  fd = -1;
}

static void use(const char *path, const char *advice) {
  drop();
  map = map_file(path, !strcmp(advice, "writable"), &size, &fd);
  if (!strcmp(advice, "random")) madvise(map, size, MADV_RANDOM);
  if (!strcmp(advice, "sequential")) madvise(map, size, MADV_SEQUENTIAL);
}

/* Keeps the compiler from leaving out work whose result nobody sees. */
static void *volatile sink;

static long long ends(const char *copy, size_t length) {
  sink = (void *)copy;
  return (unsigned char)copy[0] + (unsigned char)copy[length - 1];
}

static char *allocate(size_t length) {
  char *p = malloc(length);
  if (!p) die("malloc");
  return p;
}

static void copies(const char *how, long long count, size_t length) {
  long long sum = 0;
  char *into = allocate(length), **kept = calloc(count, sizeof *kept);
  memset(into, 1, length);
  long long start = now();
  for (long long i = 0; i < count; i++) {
    const char *from = map + i * length % (size - length + 1);
    char *to = !strcmp(how, "into") ? into : allocate(length);
    memcpy(to, from, length);
    sum += ends(to, length);
    if (!strcmp(how, "dropped")) free(to);
    if (!strcmp(how, "kept")) kept[i] = to;
  }
  long long took = now() - start;
  for (long long i = 0; i < count; i++) free(kept[i]);
  free(kept);
  free(into);
  printf("%lld %lld\n", took, sum);
}

static void blocks(const char *how, const char *list) {
  size_t length;
  int descriptor;
  uint32_t *numbers = (uint32_t *)map_file(list, 0, &length, &descriptor);
  size_t count = length / 4;
  static char to[BLOCK];
  long long sum = 0;
  for (size_t i = 0; i < count; i++) sink = (void *)(uintptr_t)numbers[i];
  long long start = now();
  for (size_t i = 0; i < count; i++) {
    off_t at = (off_t)numbers[i] * BLOCK;
    if (!strcmp(how, "pread")) {
      if (pread(fd, to, BLOCK, at) != BLOCK) die("pread");
    } else {
      memcpy(to, map + at, BLOCK);
    }
    sum += ends(to, BLOCK);
  }
  printf("%lld %lld\n", now() - start, sum);
  munmap(numbers, length);
  close(descriptor);
}

static void sum_doubles(const char *path) {
  long long start = now();
  size_t length;
  int descriptor;
  double *values = (double *)map_file(path, 0, &length, &descriptor);
  double sum = 0;
  for (size_t i = 0; i < length / 8; i++) sum += values[i];
  munmap(values, length);
  close(descriptor);
  printf("%lld %.0f\n", now() - start, sum);
}

static void median(const char *path) {
  long long start = now();
  size_t length;
  int descriptor;
  int16_t *values = (int16_t *)map_file(path, 0, &length, &descriptor);
  static long long histogram[65536];
  memset(histogram, 0, sizeof histogram);
  for (size_t i = 0; i < length / 2; i++) histogram[(uint16_t)values[i] ^ 0x8000]++;
  long long seen = 0, rank = length / 4;
  int value = 0;
  while ((seen += histogram[value]) <= rank) value++;
  munmap(values, length);
  close(descriptor);
  printf("%lld %d\n", now() - start, value - 32768);
}

static void open_close(const char *path, long long count) {
  long long sum = 0, start = now();
  for (long long i = 0; i < count; i++) {
    size_t length;
    int descriptor;
    char *p = map_file(path, 0, &length, &descriptor);
    sum += (unsigned char)p[0];
    munmap(p, length);
    close(descriptor);
  }
  printf("%lld %lld\n", now() - start, sum);
}

static void sparse(const char *path, long long length, long long rows, long long row) {
  long long start = now();
  int out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0 || ftruncate(out, length) != 0) die(path);
  char *p = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
  if (p == MAP_FAILED) die("mmap");
  for (long long i = 0; i < rows; i++) memset(p + length / rows * i / BLOCK * BLOCK, (int)i + 1, row);
  if (msync(p, length, MS_SYNC) != 0) die("msync");
  munmap(p, length);
  close(out);
  printf("%lld %lld\n", now() - start, length);
}

static void touch(long long length, int populate) {
  long long start = now(), sum = 0;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | (populate ? MAP_POPULATE : 0);
  char *p = mmap(0, length, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  for (long long i = 0; i < length; i += BLOCK) sum += ++p[i];
  munmap(p, length);
  printf("%lld %lld\n", now() - start, sum);
}

static void lock_unlock(long long count) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t *mutex =
      mmap(0, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutex_init(mutex, &attributes);
  long long start = now();
  for (long long i = 0; i < count; i++) {
    pthread_mutex_lock(mutex);
    pthread_mutex_unlock(mutex);
  }
  printf("%lld %lld\n", now() - start, count);
  munmap(mutex, BLOCK);
}

int main(void) {
  static char line[65536];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    char *a[6] = {"", "", "", "", "", ""}, *rest = line;
    for (int i = 0; i < 6; i++) {
      char *word = strsep(&rest, " \n");
      if (!word || !*word) break;
      a[i] = word;
    }
    if (!strcmp(a[0], "use")) {
      use(a[1], a[2]);
      printf("0 %zu\n", size);
    } else if (!strcmp(a[0], "drop")) {
      drop();
      puts("0 0");
    } else if (!strcmp(a[0], "copies")) {
      copies(a[1], atoll(a[2]), atoll(a[3]));
    } else if (!strcmp(a[0], "blocks")) {
      blocks(a[1], a[2]);
    } else if (!strcmp(a[0], "sum")) {
      sum_doubles(a[1]);
    } else if (!strcmp(a[0], "median")) {
      median(a[1]);
    } else if (!strcmp(a[0], "find")) {
      long long start = now();
      char *found = memmem(map, size, a[1], strlen(a[1]));
      printf("%lld %td\n", now() - start, found ? found - map : -1);
    } else if (!strcmp(a[0], "count")) {
      long long start = now(), count = 0;
      char *end = map + size;
      for (char *p = map; (p = memchr(p, '\n', end - p)); p++) count++;
      printf("%lld %lld\n", now() - start, count);
    } else if (!strcmp(a[0], "open-close")) {
      open_close(a[1], atoll(a[2]));
    } else if (!strcmp(a[0], "flush")) {
      long long start = now(), count = atoll(a[1]);
      for (long long i = 0; i < count; i++) {
        map[BLOCK * 3] = (char)i;
        if (msync(map + BLOCK * 3, BLOCK, MS_SYNC) != 0) die("msync");
      }
      printf("%lld %lld\n", now() - start, count);
    } else if (!strcmp(a[0], "sparse")) {
      sparse(a[1], atoll(a[2]), atoll(a[3]), atoll(a[4]));
    } else if (!strcmp(a[0], "touch")) {
      touch(atoll(a[1]), !strcmp(a[2], "populate"));
    } else if (!strcmp(a[0], "lock")) {
      lock_unlock(atoll(a[1]));
    } else {
      fprintf(stderr, "floor: unknown request %s\n", a[0]);
      return 1;
    }
    fflush(stdout);
  }
  return 0;
}

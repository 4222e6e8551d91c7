// The floor for bench/journal.ts: the same records in the same layout, written and scanned by C.
//
//   journal_floor append PATH RECORDS LENGTH FLUSH   FLUSH: bytes after which it flushes; 0 for never
//   journal_floor scan PATH                          a segment of a journal, of whoever wrote it
//
// Prints JSON: nanoseconds, and for a scan the number of records.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// src/journal/layout.ts
enum { HEADER = 128, BYTES = 24, SALT_AT = 36, KIND_BYTES = 0x61746164 };

struct record {
  uint32_t crc, length;
  uint64_t sequence;
  uint32_t salt, kind;
};

__attribute__((target("sse4.2"))) static uint32_t crc32c(const uint8_t *at, size_t length) {
  uint64_t crc = 0xffffffff;
  for (; length >= 8; length -= 8, at += 8) crc = __builtin_ia32_crc32di(crc, *(const uint64_t *)at);
  for (; length > 0; length--, at++) crc = __builtin_ia32_crc32qi((uint32_t)crc, *at);
  return ~(uint32_t)crc;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void flush(uint8_t *map, size_t from, size_t to) {
  from &= ~(size_t)4095;
  if (msync(map + from, to - from, MS_SYNC) != 0) exit(1);
}

static int append(const char *path, size_t records, size_t length, size_t limit) {
  size_t total = (BYTES + length + 7) / 8 * 8, size = HEADER + records * total;
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || posix_fallocate(fd, 0, size) != 0) return 1;
  uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  uint8_t *bytes = malloc(length);
  if (map == MAP_FAILED || bytes == NULL) return 1;
  memset(bytes, 7, length);
  size_t at = HEADER, flushed = HEADER;
  double start = now();
  for (uint64_t sequence = 0; sequence < records; sequence++, at += total) {
    struct record *record = (struct record *)(map + at);
    memcpy(map + at + BYTES, bytes, length);
    memset(map + at + BYTES + length, 0, total - BYTES - length);
    record->length = length;
    record->sequence = sequence;
    record->salt = 1;
    record->kind = KIND_BYTES;
    record->crc = crc32c(map + at + 4, total - 4);
    if (limit != 0 && at + total - flushed >= limit) flush(map, flushed, flushed = at + total);
  }
  if (limit != 0) flush(map, flushed, at);
  printf("{\"nanoseconds\": %.0f}\n", now() - start);
  return 0;
}

static int scan(const char *path) {
  int fd = open(path, O_RDONLY);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) return 1;
  size_t size = info.st_size, at = HEADER;
  uint64_t records = 0;
  double start = now();
  uint8_t *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return 1;
  uint32_t salt = *(uint32_t *)(map + SALT_AT);
  while (size - at >= BYTES) {
    const struct record *record = (const struct record *)(map + at);
    size_t total = (BYTES + (size_t)record->length + 7) / 8 * 8;
    if (record->salt != salt || record->kind != KIND_BYTES || record->sequence != records) break;
    if (total > size - at || crc32c(map + at + 4, total - 4) != record->crc) break;
    at += total;
    records++;
  }
  munmap(map, size);
  printf("{\"nanoseconds\": %.0f, \"records\": %lu}\n", now() - start, records);
  return 0;
}

int main(int count, char **words) {
  if (count == 6 && strcmp(words[1], "append") == 0)
    return append(words[2], strtoul(words[3], 0, 10), strtoul(words[4], 0, 10), strtoul(words[5], 0, 10));
  if (count == 3 && strcmp(words[1], "scan") == 0) return scan(words[2]);
  return 2;
}

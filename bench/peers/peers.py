"""Python's and NumPy's part in the comparison: the same requests and answers as floor.c."""

import mmap
import os
import sys
import threading
import time

try:
    import numpy as np
except ImportError:
    np = None

BLOCK = 4096
HINTS = {"random": "MADV_RANDOM", "sequential": "MADV_SEQUENTIAL"}


class Used:
    """The file in use."""

    fd = -1
    map = None


def use(path, advice="normal"):
    drop()
    writable = advice == "writable"
    Used.fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    Used.map = mmap.mmap(Used.fd, 0, access=access)
    if advice in HINTS:
        Used.map.madvise(getattr(mmap, HINTS[advice]))
    return len(Used.map)


def drop():
    if Used.map is not None:
        Used.map.close()
        os.close(Used.fd)
        Used.map = None
    return 0


def copies(how, count, length):
    source, count, length = Used.map, int(count), int(length)
    into = memoryview(bytearray(length))
    places = len(source) - length + 1
    kept = []
    total = 0
    with memoryview(source) as view:
        for i in range(count):
            at = i * length % places
            if how == "into":
                into[:] = view[at : at + length]
                copy = into
            else:
                copy = source[at : at + length]
            total += copy[0] + copy[-1]
            if how == "kept":
                kept.append(copy)
    return total


def blocks(how, path):
    with open(path, "rb") as file:
        numbers = memoryview(file.read()).cast("I")
    source, fd = Used.map, Used.fd
    total = 0
    start = time.perf_counter_ns()
    for number in numbers:
        at = number * BLOCK
        if how == "pread":
            os.lseek(fd, at, os.SEEK_SET)
            block = os.read(fd, BLOCK)
        else:
            block = source[at : at + BLOCK]
        total += block[0] + block[-1]
    return time.perf_counter_ns() - start, total


def sum_doubles(path, how="memmap"):
    if how == "fromfile":
        return f"{np.fromfile(path, '<f8').sum():.0f}"
    if how == "text":
        with open(path) as file:
            return f"{sum(map(float, file)):.0f}"
    return f"{np.memmap(path, '<f8', 'r').sum():.0f}"


def median(path, how="median"):
    values = np.memmap(path, "<i2", "r")
    if how == "median":
        return int(np.ceil(np.median(values)))  # an even number of them: halves are rounded up
    import multiprocessing

    half = len(values) // 2
    with multiprocessing.Pool(2) as pool:
        parts = pool.starmap(histogram, [(path, 0, half), (path, half, len(values))])
    ranks = np.cumsum(parts[0] + parts[1])
    return int(np.searchsorted(ranks, len(values) // 2, "right")) - 32768


def histogram(path, start, end):
    values = np.memmap(path, "<u2", "r")[start:end]
    counts = np.zeros(65536, np.int64)
    for at in range(0, len(values), 1 << 22):
        counts += np.bincount(values[at : at + (1 << 22)] ^ 0x8000, minlength=65536)
    return counts


def find(needle):
    return Used.map.find(needle.encode())


def count():
    total = 0
    find_next = Used.map.find
    at = find_next(b"\n")
    while at != -1:
        total += 1
        at = find_next(b"\n", at + 1)
    return total


def open_close(path, count):
    total = 0
    for _ in range(int(count)):
        fd = os.open(path, os.O_RDONLY)
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapped:
            total += mapped[0]
        os.close(fd)
    return total


def flush(count):
    mapped, count = Used.map, int(count)
    for i in range(count):
        mapped[BLOCK * 3] = i & 255
        mapped.flush(BLOCK * 3, BLOCK)
    return count


def sparse(path, length, rows, row):
    length, rows, row = int(length), int(rows), int(row)
    with open(path, "w+b") as file:
        file.truncate(length)
        with mmap.mmap(file.fileno(), length) as mapped:
            for i in range(rows):
                at = length // rows * i // BLOCK * BLOCK
                mapped[at : at + row] = bytes([i + 1]) * row
            mapped.flush()
    return length


def touch(length, how):
    length = int(length)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    if how == "populate":
        flags |= mmap.MAP_POPULATE
    with mmap.mmap(-1, length, flags) as mapped:
        with memoryview(mapped)[::BLOCK] as pages:
            for i in range(len(pages)):
                pages[i] = 1
            return len(pages)


def lock(count):
    mutex, count = threading.Lock(), int(count)
    for _ in range(count):
        mutex.acquire()
        mutex.release()
    return count


VERBS = {
    "use": use,
    "drop": drop,
    "copies": copies,
    "blocks": blocks,
    "sum": sum_doubles,
    "median": median,
    "find": find,
    "count": count,
    "open-close": open_close,
    "flush": flush,
    "sparse": sparse,
    "touch": touch,
    "lock": lock,
}


def main():
    print("ready", flush=True)
    for line in sys.stdin:
        verb, *arguments = line.split()
        start = time.perf_counter_ns()
        answer = VERBS[verb](*arguments)
        took = time.perf_counter_ns() - start
        if isinstance(answer, tuple):
            took, answer = answer
        print(took, answer, flush=True)


if __name__ == "__main__":
    main()

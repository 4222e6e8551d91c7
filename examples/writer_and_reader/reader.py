"""The reader in Python: multiprocessing.shared_memory, and the futex that the library waits on, too.

    examples/writer_and_reader/reader.py NAME INDEX CHANGES
"""

import ctypes
import json
import platform
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

COUNTER_OFFSET = 0
TIMESTAMP_OFFSET = COUNTER_OFFSET + 8
SEEN_OFFSET = TIMESTAMP_OFFSET + 8

SYS_FUTEX = {"x86_64": 202, "aarch64": 98}[platform.machine()]
FUTEX_WAIT = 0
FUTEX_WAKE = 1
EVERYBODY = 2**31 - 1


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


PATIENCE = Timespec(10, 0)
libc = ctypes.CDLL(None, use_errno=True)


def attach(name: str) -> SharedMemory:
    """Attaches without the tracker that would take the name away: the memory is the writer's."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    memory = SharedMemory(name)
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory


def futex(word: ctypes.c_int32, operation: int, value: int) -> int:
    arguments = [ctypes.c_long(SYS_FUTEX), ctypes.byref(word), operation, value]
    return libc.syscall(*arguments, ctypes.byref(PATIENCE), None, 0)


name, index, changes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
memory = attach(name)
counter_word = ctypes.c_int32.from_buffer(memory.buf, COUNTER_OFFSET)
timestamp = ctypes.c_double.from_buffer(memory.buf, TIMESTAMP_OFFSET)
seen_word = ctypes.c_int32.from_buffer(memory.buf, SEEN_OFFSET + 4 * index)

counter = seen = backwards = 0
last = 0.0
while counter < changes:
    while counter_word.value == counter:
        if futex(counter_word, FUTEX_WAIT, counter) == -1 and ctypes.get_errno() == 110:
            raise TimeoutError("The writer has changed nothing for 10 seconds")
    following = counter_word.value
    seen += following == counter + 1
    backwards += timestamp.value < last
    counter, last = following, timestamp.value
    seen_word.value = counter
    futex(seen_word, FUTEX_WAKE, EVERYBODY)
print(json.dumps({"seen": seen, "backwards": backwards}))
del counter_word, timestamp, seen_word
memory.close()

/*
 * Stands in for the GNU C library's loader, which the GNU C++ library asks for: the symbols that musl
 * does not have. Bun for musl wants a C++ library, and Debian has only this one.
 */

/* Exceptions find their frames by dl_iterate_phdr() when this finds nothing. */
int _dl_find_object(void *pc, void *result) {
  return -1;
}

/* Destructors of the variables of a thread that ended are not run. */
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) {
  return 0;
}

char __libc_single_threaded = 0;

/* libgcc_s has these itself, under a version that musl does not look for. */
unsigned __cpu_model[4];

int __cpu_indicator_init(void) {
  return 0;
}

/* Not called by Bun: they are for locales, file streams, random_device and _Float128. */
#define ABSENT(name) \
  void name(void) { __builtin_trap(); }

ABSENT(__isoc23_strtoul)
ABSENT(__strftime_l)
ABSENT(arc4random)
ABSENT(fseeko64)
ABSENT(ftello64)
ABSENT(strfromf128)
ABSENT(strtof128)

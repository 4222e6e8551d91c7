// Machine code of the fault guard for Linux on arm64: the same as x86_64.s, line for line where the
// processors allow it. That file explains the parts.

        .text

        // Linux: system calls
        .set    SYS_OPENAT, 56
        .set    SYS_CLOSE, 57
        .set    SYS_READ, 63
        .set    SYS_FUTEX, 98
        .set    SYS_NANOSLEEP, 101
        .set    SYS_RT_SIGACTION, 134
        .set    SYS_RT_SIGPROCMASK, 135
        .set    SYS_GETPID, 172
        .set    SYS_GETTID, 178
        .set    SYS_MUNMAP, 215
        .set    SYS_MREMAP, 216
        .set    SYS_MMAP, 222
        .set    SYS_MPROTECT, 226
        .set    SYS_RT_TGSIGQUEUEINFO, 240
        .set    SYS_PROCESS_VM_READV, 270

        // Linux: constants
        .set    AT_FDCWD, -100
        .set    O_RDONLY_CLOEXEC, 0x80000
        .set    SIGBUS, 7
        .set    BUS_ADRERR, 2                   // 2 to 4: no page, object error, broken memory
        .set    BUS_MCEERR_AR, 4
        .set    SEGV_MAPERR, 1                  // 1 and 2: nothing mapped, access not allowed
        .set    SEGV_ACCERR, 2
        .set    SA_NODEFER_BIT, 30
        .set    SA_RESETHAND_BIT, 31
        .set    SIG_SETMASK, 2
        .set    PROT_READ, 1
        .set    PROT_READ_WRITE, 3
        .set    MAP_PRIVATE_ANONYMOUS, 0x22
        .set    MAP_ZERO_PAGE, 0x4032           // PRIVATE | FIXED | ANONYMOUS | NORESERVE
        .set    MREMAP_MAYMOVE_FIXED, 3
        .set    FUTEX_WAIT_PRIVATE, 0x80
        .set    FUTEX_WAKE_OP_PRIVATE, 0x85
        .set    FUTEX_OP_OR_NOTHING, 0x20000000 // *uaddr2 |= 0
        .set    UNUSUAL, 0x5afe0000             // hardly ever the first word of a page
        .set    EFAULT, 14
        .set    ERRORS, 4095                    // the kernel's results from -4095 to -1 are errors

        // Linux: siginfo_t and ucontext_t
        .set    SI_SIGNO, 0
        .set    SI_CODE, 8
        .set    SI_ADDR, 16
        .set    UC_SIGMASK, 40
        .set    UC_PC, 440
        .set    UC_RESERVED, 464                // records of { magic, size, ... }, the last with magic 0
        .set    ESR_MAGIC, 0x45535201
        .set    ESR_CONTEXT_ESR, 8
        .set    ESR_WRITE_BIT, 6

        // The table (table.ts)
        .set    TABLE_DISTANCE, 0x10000         // from the start of this code
        .set    CAPACITY, 12
        .set    HIGH_WATER, 16
        .set    LAST_HIT, 20
        .set    TOTAL_EVENTS, 24
        .set    PREVIOUS_BUS, 64
        .set    PREVIOUS_SEGV, 96
        .set    PREVIOUS_FLAGS, 8
        .set    PREVIOUS_MASK, 24
        .set    KEYS, 4096                      // per slot: start, end (doubles)
        .set    STATE, 0                        // from here on: within the slot's details
        .set    BUSY, 4
        .set    FLAGS, 8
        .set    PAGE_SHIFT, 12
        .set    EVENTS, 16
        .set    VIOLATIONS, 20
        .set    FAULT_OFFSETS, 24               // FIRST, LOWEST, END
        .set    VIOLATION_OFFSETS, 48           // FIRST, LOWEST, END
        .set    TOUCHED, 72
        .set    DETAILS_SHIFT, 7                // 128 bytes
        .set    FIRST, 0                        // from here on: within offsets
        .set    LOWEST, 8
        .set    END, 16
        .set    STATE_ACTIVE, 2
        .set    FLAG_COPY_BIT, 0
        .set    FLAG_PRIVATE_BIT, 1
        .set    FLAG_HOLES_BIT, 2

        // The handler's frame
        .set    FRAME_WORK, 0                   // 32 bytes for the arguments of system calls
        .set    FRAME_SAVED, 32
        .set    FRAME_LENGTH, 128

        .set    WRITABLE, 0                     // classes of pages
        .set    READ_ONLY, 1
        .set    INACCESSIBLE, 2

        .set    BLOCK_EVENTS_SHIFT, 6           // blocks double after every 64 pages replaced
        .set    BLOCK_SHIFT_LIMIT, 9            // up to 512 pages

        .macro  system_call number
        mov     x8, \number
        svc     0
        .endm

image:

// double mman_syscall(double number, double a1, ..., double a6)
        .balign 16
        .globl  mman_syscall
mman_syscall:
        fcvtzs  x8, d0
        fcvtzs  x0, d1
        fcvtzs  x1, d2
        fcvtzs  x2, d3
        fcvtzs  x3, d4
        fcvtzs  x4, d5
        fcvtzs  x5, d6
        svc     0
        scvtf   d0, x0
        ret

// double mman_invoke(double function, double a1, ..., double a6)
        .balign 16
        .globl  mman_invoke
mman_invoke:
        stp     x29, x30, [sp, -16]!
        mov     x29, sp
        fcvtzs  x8, d0
        fcvtzs  x0, d1
        fcvtzs  x1, d2
        fcvtzs  x2, d3
        fcvtzs  x3, d4
        fcvtzs  x4, d5
        fcvtzs  x5, d6
        blr     x8
        scvtf   d0, x0
        ldp     x29, x30, [sp], 16
        ret

// double mman_invoke_int(double function, double a1, ..., double a6)
        .balign 16
        .globl  mman_invoke_int
mman_invoke_int:
        stp     x29, x30, [sp, -16]!
        mov     x29, sp
        fcvtzs  x8, d0
        fcvtzs  x0, d1
        fcvtzs  x1, d2
        fcvtzs  x2, d3
        fcvtzs  x3, d4
        fcvtzs  x4, d5
        fcvtzs  x5, d6
        blr     x8
        scvtf   d0, w0
        ldp     x29, x30, [sp], 16
        ret

// void handler(int signal, siginfo_t *info, ucontext_t *context)
//
//   x19  info               x23  faulting address, then its page   x26  the candidate slot
//   x20  context            x24  page size                         x27  number of slots to look at
//   x21  the table          x25  slot to go on with when the       x28  the details of slot 0
//   x22  the slot's details      candidate is not it                d0  the address as a double
        .balign 64
        .globl  mman_guard_handler
mman_guard_handler:
        b       begin
        .balign 8
        .ascii  "mmanGURD"                      // mark
        .long   2                               // version of the table's layout
        .long   mman_guard_handler - image      // where this code began
begin:
        sub     sp, sp, FRAME_LENGTH
        stp     x19, x20, [sp, FRAME_SAVED]     // kept for a handler that calls this one as its
        stp     x21, x22, [sp, FRAME_SAVED + 16] // previous
        stp     x23, x24, [sp, FRAME_SAVED + 32]
        stp     x25, x26, [sp, FRAME_SAVED + 48]
        stp     x27, x28, [sp, FRAME_SAVED + 64]
        stp     x29, x30, [sp, FRAME_SAVED + 80]
        mov     x19, x1
        mov     x20, x2
        adr     x21, image
        add     x21, x21, TABLE_DISTANCE
        ldr     x23, [x19, SI_ADDR]

        // Only faults that a mapping can cause.
        ldr     x9, [x20, UC_PC]
        cmp     x9, x23
        b.eq    chain                           // a jump into the range is the program's bug
        ldr     w9, [x19, SI_CODE]
        cmp     w0, SIGBUS
        b.eq    1f
        cmp     w9, SEGV_MAPERR
        b.lo    chain
        cmp     w9, SEGV_ACCERR
        b.hi    chain
        b       2f
1:      cmp     w9, BUS_ADRERR
        b.lo    chain
        cmp     w9, BUS_MCEERR_AR
        b.hi    chain

        // Which slot? The last one that was hit, or the first whose range has the address.
2:      scvtf   d0, x23
        ldr     w27, [x21, HIGH_WATER]
        ldr     w10, [x21, CAPACITY]
        cmp     w27, w10
        csel    w27, w10, w27, hi               // claims beyond the end leave it too high for a moment
        add     x28, x21, KEYS
        add     x28, x28, x10, lsl 4            // the details follow the keys
        ldr     w26, [x21, LAST_HIT]
        mov     w25, 0
        cmp     w26, w27
        b.hs    scan
        bl      contains
        b.mi    candidate
scan:
        mov     w26, w25
3:      cmp     w26, w27
        b.hs    chain
        bl      contains
        b.mi    4f
        add     w26, w26, 1
        b       3b
4:      add     w25, w26, 1

candidate:
        add     x22, x28, x26, lsl DETAILS_SHIFT

        // One thread at a time for each slot, and unregister() waits as long as BUSY is set.
acquire:
        mov     w10, 200
        add     x11, x22, BUSY
        mov     w12, 1
5:      ldaxr   w9, [x11]
        cbnz    w9, 6f
        stxr    w9, w12, [x11]
        cbz     w9, acquired
        b       5b
6:      clrex
        yield
        subs    w10, w10, 1
        b.ne    5b
        mov     x9, 20000                       // struct timespec: 0 s and 20 us, which lets the
        stp     xzr, x9, [sp, FRAME_WORK]       // holder run
        add     x0, sp, FRAME_WORK
        mov     x1, 0
        system_call SYS_NANOSLEEP
        b       acquire

        // The keys were read while they could change; now they are steady.
acquired:
        dmb     ish                             // BUSY is seen set before STATE is read
        ldr     w9, [x22, STATE]
        cmp     w9, STATE_ACTIVE
        b.ne    7f
        dmb     ishld                           // STATE is read before the keys
        bl      contains
        b.mi    mine
7:      add     x11, x22, BUSY
        stlr    wzr, [x11]
        b       scan

mine:
        str     w26, [x21, LAST_HIT]
        ldr     w9, [x22, PAGE_SHIFT]
        mov     x24, 1
        lsl     x24, x24, x9                    // page size
        neg     x9, x24
        and     x23, x23, x9                    // page

        // From here on: x25 bytes of the pages to replace, w28 their class.
        mov     x4, x23
        bl      classify
        mov     w28, w0
        cmp     w28, READ_ONLY
        b.lo    release                         // another thread has repaired the page meanwhile
        b.hi    inaccessible

        // A load or a store? Without a record of the fault (emulators) it is taken for a store.
        add     x9, x20, UC_RESERVED
        ldr     w12, =ESR_MAGIC
8:      ldp     w10, w11, [x9]
        cbz     w10, 10f
        cmp     w10, w12
        b.eq    9f
        add     x9, x9, x11
        cbnz    w11, 8b
        b       10f
9:      ldr     x10, [x9, ESR_CONTEXT_ESR]
        tbz     x10, ESR_WRITE_BIT, release     // it was a load: repaired meanwhile
10:     ldr     w9, [x19, SI_SIGNO]
        cmp     w9, SIGBUS
        b.eq    extend                          // no room on the disk for what is to be stored
        ldr     w9, [x22, FLAGS]
        tbnz    w9, FLAG_COPY_BIT, extend
        b       give_up
inaccessible:
        ldr     w9, [x19, SI_SIGNO]
        cmp     w9, SIGBUS
        b.eq    extend
        ldr     w9, [x22, FLAGS]
        tbz     w9, FLAG_HOLES_BIT, give_up

        // A page that is there, but protected, keeps its content: it becomes one that can only be read,
        // and then a copy.
        mov     x25, x24
        mov     x0, x23
        mov     x1, x24
        mov     x2, PROT_READ
        system_call SYS_MPROTECT
        cbnz    x0, extend                      // nothing is mapped
        mov     x4, x23
        bl      classify
        cmp     w0, INACCESSIBLE
        b.eq    extend                          // behind the end of the file
        mov     w28, READ_ONLY
        b       replace

        // Every page that is replaced may become a mapping of its own for the kernel, which allows
        // 65,530, and costs a signal. After many, the pages behind that are alike are replaced along.
extend:
        ldr     w9, [x22, EVENTS]
        lsr     w9, w9, BLOCK_EVENTS_SHIFT
        mov     w10, BLOCK_SHIFT_LIMIT
        cmp     w9, w10
        csel    w9, w10, w9, hi
        lsl     x27, x24, x9
        bl      rest_of_range
        cmp     x27, x1
        csel    x27, x1, x27, hi
        mov     x25, x24
11:     cmp     x25, x27
        b.hs    12f
        add     x4, x23, x25
        bl      classify
        cmp     w0, w28
        b.ne    12f
        add     x25, x25, x24
        b       11b
12:     bl      note
        cmp     w28, READ_ONLY
        b.ne    zeros
        ldr     w9, [x19, SI_SIGNO]
        cmp     w9, SIGBUS
        b.eq    copy
replace:
        ldr     w9, [x22, FLAGS]
        tbz     w9, FLAG_PRIVATE_BIT, copy

        // Read-only pages of a private mapping: the kernel copies them when they are stored to.
        mov     x0, x23
        mov     x1, x25
        mov     x2, PROT_READ_WRITE
        system_call SYS_MPROTECT
        cbz     x0, count
        bl      rest_of_range                   // too many mappings: one protection for the rest
        mov     x25, x1
        mov     x0, x23
        mov     x2, PROT_READ_WRITE
        system_call SYS_MPROTECT
        cbz     x0, count
        b       give_up

        // Read-only pages of a shared mapping: a copy is made elsewhere and moved over them in one
        // step, so that no thread ever sees half of it.
copy:
        mov     x0, 0
        mov     x1, x25
        mov     x2, PROT_READ_WRITE
        mov     x3, MAP_PRIVATE_ANONYMOUS
        mov     x4, -1
        mov     x5, 0
        system_call SYS_MMAP
        cmn     x0, ERRORS
        b.hs    give_up
        mov     x27, x0
        stp     x27, x25, [sp, FRAME_WORK]      // struct iovec: the copy
        stp     x23, x25, [sp, FRAME_WORK + 16] // struct iovec: the pages
        system_call SYS_GETPID
        add     x1, sp, FRAME_WORK
        mov     x2, 1
        add     x3, sp, FRAME_WORK + 16
        mov     x4, 1
        mov     x5, 0
        system_call SYS_PROCESS_VM_READV        // does not fault if the file is cut at this moment,
        tbz     x0, 63, 14f                     // and leaves zeros then
        cmn     x0, EFAULT
        b.eq    14f
        mov     x9, x27                         // forbidden here: copy by hand
        mov     x10, x23
        add     x11, x23, x25
13:     ldp     x12, x13, [x10], 16
        stp     x12, x13, [x9], 16
        cmp     x10, x11
        b.lo    13b
14:     mov     x0, x27
        mov     x1, x25
        mov     x2, x25
        mov     x3, MREMAP_MAYMOVE_FIXED
        mov     x4, x23
        system_call SYS_MREMAP
        cmn     x0, ERRORS
        b.lo    count
        mov     x0, x27
        mov     x1, x25
        system_call SYS_MUNMAP
        b       give_up

        // Pages that are not there: private zeros take their place.
zeros:
        mov     x1, x25
        bl      map_zeros
        b.lo    count
        bl      rest_of_range                   // too many mappings: one for the rest
        mov     x25, x1
        bl      note
        mov     x1, x25
        bl      map_zeros
        b.hs    give_up

count:
        ldr     w9, [x22, PAGE_SHIFT]
        lsr     x9, x25, x9
        ldr     w10, [x22, EVENTS]
        add     w10, w10, w9
        str     w10, [x22, EVENTS]
        add     x12, x21, TOTAL_EVENTS          // of all slots
15:     ldxr    w10, [x12]
        add     w10, w10, w9
        stxr    w11, w10, [x12]
        cbnz    w11, 15b
        bl      note
        b.ne    release                         // a fault
        ldr     w10, [x22, VIOLATIONS]
        add     w10, w10, w9
        str     w10, [x22, VIOLATIONS]

release:
        add     x11, x22, BUSY
        stlr    wzr, [x11]
leave:
        bl      restore_registers
        ret                                     // to the kernel, which tries the access again

give_up:
        add     x11, x22, BUSY
        stlr    wzr, [x11]

        // Not ours: as if this handler were not there.
chain:
        ldr     w0, [x19, SI_SIGNO]
        add     x22, x21, PREVIOUS_BUS
        cmp     w0, SIGBUS
        b.eq    17f
        add     x22, x21, PREVIOUS_SEGV
17:     ldr     x24, [x22]                      // the previous handler
        cmp     x24, 1
        b.lo    default
        b.eq    ignore
        ldr     w9, [x22, PREVIOUS_FLAGS]
        tbz     w9, SA_RESETHAND_BIT, 18f
        str     xzr, [x22]                      // it wanted to run once
18:     ldr     x10, [x20, UC_SIGMASK]          // the mask that it would have run with
        ldr     x11, [x22, PREVIOUS_MASK]
        orr     x10, x10, x11
        tbnz    w9, SA_NODEFER_BIT, 19f
        sub     w11, w0, 1
        mov     x12, 1
        lsl     x12, x12, x11
        orr     x10, x10, x12
19:     str     x10, [sp, FRAME_WORK]
        mov     x0, SIG_SETMASK
        add     x1, sp, FRAME_WORK
        mov     x2, 0
        mov     x3, 8
        system_call SYS_RT_SIGPROCMASK
        ldr     w0, [x19, SI_SIGNO]
        mov     x1, x19
        mov     x2, x20
        mov     x16, x24
        bl      restore_registers
        br      x16                             // on this stack frame, as if the kernel had called it

ignore:
        ldr     w9, [x19, SI_CODE]
        cmp     w9, 0
        b.le    leave                           // sent by kill(): really ignored

        // The default, death: set it and send the same signal again, which waits for the return.
default:
        stp     xzr, xzr, [sp, FRAME_WORK]      // struct sigaction: SIG_DFL, no flags,
        stp     xzr, xzr, [sp, FRAME_WORK + 16] // no restorer, an empty mask
        ldr     w0, [x19, SI_SIGNO]
        add     x1, sp, FRAME_WORK
        mov     x2, 0
        mov     x3, 8
        system_call SYS_RT_SIGACTION
        system_call SYS_GETPID
        mov     x24, x0
        system_call SYS_GETTID
        mov     x1, x0
        mov     x0, x24
        ldr     w2, [x19, SI_SIGNO]
        mov     x3, x19
        system_call SYS_RT_TGSIGQUEUEINFO
        b       leave

// Is the address d0 in the range of slot w26? Minus if so: an unused slot ends at 0. Changes x9.
contains:
        add     x9, x21, KEYS
        add     x9, x9, x26, lsl 4
        ldp     d1, d2, [x9]
        fcmp    d0, d1
        fccmp   d0, d2, 0, ge
        ret

// The class of the page at x4, in w0. Without touching it: the kernel answers EFAULT where a load or
// a store would fault.
classify:
        stp     xzr, xzr, [sp, FRAME_WORK]
        mov     x0, x4
        mov     x1, FUTEX_WAIT_PRIVATE
        mov     w2, UNUSUAL                     // wait if the word at x4 is this,
        add     x3, sp, FRAME_WORK              // and then no time
        system_call SYS_FUTEX
        cmn     x0, EFAULT
        mov     w0, INACCESSIBLE
        b.eq    20f
        mov     x0, sp                          // uaddr: a word on which nobody waits
        mov     x1, FUTEX_WAKE_OP_PRIVATE
        mov     x2, 0                           // wake nobody there
        mov     x3, 0                           // and nobody at x4, which is uaddr2
        mov     x5, FUTEX_OP_OR_NOTHING         // after changing no bit of the word at x4
        system_call SYS_FUTEX
        tst     x0, x0
        mov     w9, READ_ONLY
        csel    w0, w9, wzr, mi                 // or WRITABLE
20:     ret

// x1: bytes from the page to the end of the slot's range, in whole pages. Changes x9.
rest_of_range:
        add     x9, x21, KEYS
        add     x9, x9, x26, lsl 4
        ldr     d1, [x9, 8]
        fcvtzs  x1, d1
        sub     x1, x1, x23
        add     x1, x1, x24
        sub     x1, x1, 1
        neg     x9, x24
        and     x1, x1, x9
        ret

// Writes down for JavaScript what becomes of the pages, before it happens. Equal if it is a violation.
// Keeps x9, changes x10 to x13.
note:
        add     x10, x21, KEYS
        add     x10, x10, x26, lsl 4
        ldr     d3, [x10]                       // offsets count from the start of the range
        ldr     x11, [x19, SI_ADDR]
        scvtf   d0, x11
        fsub    d0, d0, d3
        scvtf   d1, x23
        fsub    d1, d1, d3
        scvtf   d2, x25
        fadd    d2, d2, d1
        add     x12, x22, FAULT_OFFSETS
        ldr     w10, [x19, SI_SIGNO]
        cmp     w10, SIGBUS
        b.eq    16f
        cmp     w28, READ_ONLY
        b.ne    16f
        add     x12, x22, VIOLATION_OFFSETS
16:     ldr     d3, [x12, FIRST]                // the first one stays until JavaScript makes it
        fcmp    d3, 0.0                         // negative
        b.pl    21f
        str     d0, [x12, FIRST]
21:     ldr     d3, [x12, LOWEST]
        fmin    d1, d1, d3
        str     d1, [x12, LOWEST]
        ldr     d3, [x12, END]
        fmax    d2, d2, d3
        str     d2, [x12, END]
        mov     w10, 1
        add     x11, x22, TOUCHED
        stlr    w10, [x11]
        add     x11, x22, VIOLATION_OFFSETS
        cmp     x12, x11
        ret

// Private zeros from the page on, x1 bytes. Lower if it worked.
map_zeros:
        mov     x0, x23
        mov     x2, PROT_READ_WRITE
        mov     x3, MAP_ZERO_PAGE
        mov     x4, -1
        mov     x5, 0
        system_call SYS_MMAP
        cmn     x0, ERRORS
        ret

// Takes the handler's frame away; returns to its caller by the link register of the call, and
// leaves the one of the handler in x30.
restore_registers:
        mov     x17, x30
        ldp     x19, x20, [sp, FRAME_SAVED]
        ldp     x21, x22, [sp, FRAME_SAVED + 16]
        ldp     x23, x24, [sp, FRAME_SAVED + 32]
        ldp     x25, x26, [sp, FRAME_SAVED + 48]
        ldp     x27, x28, [sp, FRAME_SAVED + 64]
        ldp     x29, x30, [sp, FRAME_SAVED + 80]
        add     sp, sp, FRAME_LENGTH
        br      x17

        .ltorg

// mman_count(address, length, byte) -> how often the byte occurs. 64 bytes a step; four registers of
// byte counters, which are added up before they can overflow.
        .globl  mman_count
mman_count:
        fcvtzs  x0, d0
        fcvtzs  x1, d1
        fcvtzs  w2, d2
        dup     v7.16b, w2              // the byte, sixteen times
        mov     x3, xzr                 // the total
        mov     x6, #255                // steps after which a counter may be full
31:     lsr     x4, x1, #6
        cbz     x4, 33f
        cmp     x4, x6
        csel    x4, x4, x6, ls
        sub     x1, x1, x4, lsl #6
        movi    v0.16b, #0
        movi    v1.16b, #0
        movi    v2.16b, #0
        movi    v3.16b, #0
32:     ld1     {v16.16b-v19.16b}, [x0], #64
        cmeq    v16.16b, v16.16b, v7.16b // -1 where equal
        cmeq    v17.16b, v17.16b, v7.16b
        cmeq    v18.16b, v18.16b, v7.16b
        cmeq    v19.16b, v19.16b, v7.16b
        sub     v0.16b, v0.16b, v16.16b
        sub     v1.16b, v1.16b, v17.16b
        sub     v2.16b, v2.16b, v18.16b
        sub     v3.16b, v3.16b, v19.16b
        subs    x4, x4, #1
        b.ne    32b
        uaddlp  v0.8h, v0.16b           // pairs into 16 bits, where four registers' sums fit
        uadalp  v0.8h, v1.16b
        uadalp  v0.8h, v2.16b
        uadalp  v0.8h, v3.16b
        uaddlv  s0, v0.8h
        fmov    w5, s0
        add     x3, x3, x5
        b       31b
33:     cbz     x1, 35f                 // the last 63 bytes
34:     ldrb    w5, [x0], #1
        cmp     w5, w2
        cinc    x3, x3, eq
        subs    x1, x1, #1
        b.ne    34b
35:     scvtf   d0, x3
        ret

// mman_has_crc32c(hwcap) -> 1 if this processor can run mman_crc32c, else 0. The kernel says so.
        .globl  mman_has_crc32c
mman_has_crc32c:
        fcvtzu  x0, d0
        ubfx    x0, x0, #7, #1          // HWCAP_CRC32
        ucvtf   d0, x0
        ret

// mman_crc32c(address, length, crc) -> the CRC-32C of the bytes, going on from `crc`; 0 to begin with.
        .arch_extension crc
        .globl  mman_crc32c
mman_crc32c:
        fcvtzs  x0, d0
        fcvtzs  x1, d1
        fcvtzu  x2, d2
        mvn     w2, w2
        lsr     x3, x1, #3
        cbz     x3, 42f
41:     ldr     x4, [x0], #8
        crc32cx w2, w2, x4
        subs    x3, x3, #1
        b.ne    41b
42:     ands    x1, x1, #7              // the last 7 bytes
        b.eq    44f
43:     ldrb    w4, [x0], #1
        crc32cb w2, w2, w4
        subs    x1, x1, #1
        b.ne    43b
44:     mvn     w2, w2
        ucvtf   d0, w2
        ret

// mman_sum_f64(address, doubles) -> their sum. Sixteen sums at a time, which join the total after 64
// steps: that keeps rounding errors small.
        .globl  mman_sum_f64
mman_sum_f64:
        fcvtzs  x0, d0
        fcvtzs  x1, d1
        movi    v4.2d, #0               // the total, in two halves
        mov     x6, #64                 // steps of a block
51:     lsr     x4, x1, #4
        cbz     x4, 53f
        cmp     x4, x6
        csel    x4, x4, x6, ls
        sub     x1, x1, x4, lsl #4
        movi    v16.2d, #0
        movi    v17.2d, #0
        movi    v18.2d, #0
        movi    v19.2d, #0
        movi    v20.2d, #0
        movi    v21.2d, #0
        movi    v22.2d, #0
        movi    v23.2d, #0
52:     ld1     {v24.16b-v27.16b}, [x0], #64
        ld1     {v28.16b-v31.16b}, [x0], #64
        fadd    v16.2d, v16.2d, v24.2d
        fadd    v17.2d, v17.2d, v25.2d
        fadd    v18.2d, v18.2d, v26.2d
        fadd    v19.2d, v19.2d, v27.2d
        fadd    v20.2d, v20.2d, v28.2d
        fadd    v21.2d, v21.2d, v29.2d
        fadd    v22.2d, v22.2d, v30.2d
        fadd    v23.2d, v23.2d, v31.2d
        subs    x4, x4, #1
        b.ne    52b
        fadd    v16.2d, v16.2d, v20.2d
        fadd    v17.2d, v17.2d, v21.2d
        fadd    v18.2d, v18.2d, v22.2d
        fadd    v19.2d, v19.2d, v23.2d
        fadd    v16.2d, v16.2d, v18.2d
        fadd    v17.2d, v17.2d, v19.2d
        fadd    v16.2d, v16.2d, v17.2d
        fadd    v4.2d, v4.2d, v16.2d
        b       51b
53:     faddp   d0, v4.2d
        cbz     x1, 55f                 // the last 15
54:     ldr     d1, [x0], #8
        fadd    d0, d0, d1
        subs    x1, x1, #1
        b.ne    54b
55:     ret

// mman_read_file(path, address, length) -> how many bytes of a file were read, or a negative error number.
// In one call, because a Worker may be terminated between any two: it leaves no descriptor open.
        .globl  mman_read_file
mman_read_file:
        fcvtzs  x1, d0
        fcvtzs  x9, d1                  // the kernel keeps all but x0
        fcvtzs  x10, d2
        mov     x0, AT_FDCWD
        mov     x2, O_RDONLY_CLOEXEC
        mov     x3, #0
        system_call SYS_OPENAT
        tbnz    x0, #63, 61f
        mov     x11, x0
        mov     x1, x9
        mov     x2, x10
        system_call SYS_READ
        mov     x9, x0
        mov     x0, x11
        system_call SYS_CLOSE
        mov     x0, x9
61:     scvtf   d0, x0
        ret

# Machine code of the fault guard for Linux on x86-64: the calls that JavaScript makes (mman_*) and
# the handler of SIGBUS and SIGSEGV. Position independent, without data of its own, without
# relocations. `scripts/assemble_guard.ts` turns it into code.ts; table.ts describes the table.
#
# Every global label except mman_guard_* becomes a function of the shared object that elf.ts builds.
# Parameters and results of those functions are doubles, nothing else: that is the one signature
# that is cheap to call in Deno, Bun and Node, and it is exact up to 2^53.

        .intel_syntax noprefix
        .text

        # Linux: system calls
        .set    SYS_READ, 0
        .set    SYS_CLOSE, 3
        .set    SYS_MMAP, 9
        .set    SYS_MPROTECT, 10
        .set    SYS_MUNMAP, 11
        .set    SYS_RT_SIGACTION, 13
        .set    SYS_RT_SIGPROCMASK, 14
        .set    SYS_RT_SIGRETURN, 15
        .set    SYS_MREMAP, 25
        .set    SYS_NANOSLEEP, 35
        .set    SYS_GETPID, 39
        .set    SYS_GETTID, 186
        .set    SYS_FUTEX, 202
        .set    SYS_OPENAT, 257
        .set    SYS_RT_TGSIGQUEUEINFO, 297
        .set    SYS_PROCESS_VM_READV, 310

        # Linux: constants
        .set    AT_FDCWD, -100
        .set    O_RDONLY_CLOEXEC, 0x80000
        .set    SIGBUS, 7
        .set    BUS_ADRERR, 2                   # 2 to 4: no page, object error, broken memory
        .set    BUS_MCEERR_AR, 4
        .set    SEGV_MAPERR, 1                  # 1 and 2: nothing mapped, access not allowed
        .set    SEGV_ACCERR, 2
        .set    SA_NODEFER_BIT, 30
        .set    SA_RESETHAND_BIT, 31
        .set    SIG_SETMASK, 2
        .set    PROT_READ, 1
        .set    PROT_READ_WRITE, 3
        .set    MAP_PRIVATE_ANONYMOUS, 0x22
        .set    MAP_ZERO_PAGE, 0x4032           # PRIVATE | FIXED | ANONYMOUS | NORESERVE
        .set    MREMAP_MAYMOVE_FIXED, 3
        .set    FUTEX_WAIT_PRIVATE, 0x80
        .set    FUTEX_WAKE_OP_PRIVATE, 0x85
        .set    FUTEX_OP_OR_NOTHING, 0x20000000 # *uaddr2 |= 0
        .set    UNUSUAL, 0x5afe0000             # hardly ever the first word of a page
        .set    EFAULT, 14
        .set    LAST_ERROR, -4095               # the kernel's results from here to -1 are errors

        # Linux: siginfo_t and ucontext_t
        .set    SI_SIGNO, 0
        .set    SI_CODE, 8
        .set    SI_ADDR, 16
        .set    UC_ERROR_CODE, 192              # gregs[REG_ERR]: bit 1 a write, bit 4 a fetch
        .set    UC_SIGMASK, 296

        # The table (table.ts)
        .set    TABLE_DISTANCE, 0x10000         # from the start of this code
        .set    CAPACITY, 12
        .set    HIGH_WATER, 16
        .set    LAST_HIT, 20
        .set    TOTAL_EVENTS, 24
        .set    PREVIOUS_BUS, 64
        .set    PREVIOUS_SEGV, 96
        .set    PREVIOUS_FLAGS, 8
        .set    PREVIOUS_MASK, 24
        .set    KEYS, 4096                      # per slot: start, end (doubles)
        .set    STATE, 0                        # from here on: within the slot's details
        .set    BUSY, 4
        .set    FLAGS, 8
        .set    PAGE_SHIFT, 12
        .set    EVENTS, 16
        .set    VIOLATIONS, 20
        .set    FAULT_OFFSETS, 24               # FIRST, LOWEST, END
        .set    VIOLATION_OFFSETS, 48           # FIRST, LOWEST, END
        .set    TOUCHED, 72
        .set    DETAILS_SHIFT, 7                # 128 bytes
        .set    FIRST, 0                        # from here on: within offsets
        .set    LOWEST, 8
        .set    END, 16
        .set    STATE_ACTIVE, 2
        .set    FLAG_COPY_BIT, 0
        .set    FLAG_PRIVATE_BIT, 1
        .set    FLAG_HOLES_BIT, 2

        # The handler's frame
        .set    FRAME_WORK, 0                   # 32 bytes for the arguments of system calls
        .set    FRAME_NEXT, 32                  # slot to go on with when the candidate is not it
        .set    FRAME_SLOT, 36                  # the candidate
        .set    FRAME_BYTES, 40                 # of the pages to replace
        .set    FRAME_LIMIT, 48                 # of those bytes
        .set    FRAME_CLASS, 56                 # of those pages
        .set    FRAME_LENGTH, 64

        .set    WRITABLE, 0                     # classes of pages
        .set    READ_ONLY, 1
        .set    INACCESSIBLE, 2

        .set    BLOCK_EVENTS_SHIFT, 6           # blocks double after every 64 pages replaced
        .set    BLOCK_SHIFT_LIMIT, 9            # up to 512 pages

image:

# double mman_syscall(double number, double a1, ..., double a6)
# The kernel's own result: negative error numbers, so no errno that somebody could overwrite.
        .balign 16
        .globl  mman_syscall
mman_syscall:
        cvttsd2si rax, xmm0
        cvttsd2si rdi, xmm1
        cvttsd2si rsi, xmm2
        cvttsd2si rdx, xmm3
        cvttsd2si r10, xmm4
        cvttsd2si r8, xmm5
        cvttsd2si r9, xmm6
        syscall
        cvtsi2sd xmm0, rax
        ret

# double mman_invoke(double function, double a1, ..., double a6)
# Calls any C function of up to six integers or pointers; the result is 64 bits wide.
        .balign 16
        .globl  mman_invoke
mman_invoke:
        cvttsd2si rax, xmm0
        cvttsd2si rdi, xmm1
        cvttsd2si rsi, xmm2
        cvttsd2si rdx, xmm3
        cvttsd2si rcx, xmm4
        cvttsd2si r8, xmm5
        cvttsd2si r9, xmm6
        sub     rsp, 8                          # functions want the stack at a multiple of 16
        call    rax
        add     rsp, 8
        cvtsi2sd xmm0, rax
        ret

# double mman_invoke_int(double function, double a1, ..., double a6)
# The same for functions that return int: the upper half of their result register is undefined.
        .balign 16
        .globl  mman_invoke_int
mman_invoke_int:
        cvttsd2si rax, xmm0
        cvttsd2si rdi, xmm1
        cvttsd2si rsi, xmm2
        cvttsd2si rdx, xmm3
        cvttsd2si rcx, xmm4
        cvttsd2si r8, xmm5
        cvttsd2si r9, xmm6
        sub     rsp, 8
        call    rax
        add     rsp, 8
        cvtsi2sd xmm0, eax
        ret

# Where the handler returns to when there was no handler before it whose restorer could serve.
# Unwinders know a signal frame by exactly these two instructions.
        .balign 16
        .globl  mman_guard_restorer
mman_guard_restorer:
        mov     rax, SYS_RT_SIGRETURN
        syscall

# void handler(int signal, siginfo_t *info, ucontext_t *context)
#
# Installed with every signal blocked: nothing can interrupt it on its thread, so that holding a
# slot's BUSY word for a few system calls cannot lock a thread out against itself.
# Aligned to 64, with its mark in the same 64 bytes, so that another copy of the library can look
# at 64 bytes of any handler without leaving its page.
#
#   rbx  info               r12  page size           r14  faulting address, then its page
#   rbp  context            r13  the slot's details  r15  the table
        .balign 64
        .globl  mman_guard_handler
mman_guard_handler:
        jmp     begin
        .balign 8
        .ascii  "mmanGURD"                      # mark
        .long   2                               # version of the table's layout
        .long   mman_guard_handler - image      # where this code began
begin:
        push    rbx                             # kept for a handler that calls this one as its
        push    rbp                             # previous, as JavaScriptCore's does
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, FRAME_LENGTH
        mov     rbx, rsi
        mov     rbp, rdx
        lea     r15, [rip + image + TABLE_DISTANCE]
        mov     r14, [rbx + SI_ADDR]

        # Only faults that a mapping can cause.
        test    byte ptr [rbp + UC_ERROR_CODE], 0x10
        jnz     chain                           # a jump into the range is the program's bug
        mov     eax, [rbx + SI_CODE]
        cmp     edi, SIGBUS
        je      1f
        cmp     eax, SEGV_MAPERR
        jb      chain
        cmp     eax, SEGV_ACCERR
        ja      chain
        jmp     2f
1:      cmp     eax, BUS_ADRERR
        jb      chain
        cmp     eax, BUS_MCEERR_AR
        ja      chain

        # Which slot? The last one that was hit, or the first whose range has the address.
2:      cvtsi2sd xmm0, r14
        mov     r9d, [r15 + HIGH_WATER]
        mov     edx, [r15 + CAPACITY]
        cmp     r9d, edx
        cmova   r9d, edx                        # claims beyond the end leave it too high for a moment
        shl     rdx, 4
        lea     rdx, [r15 + rdx + KEYS]         # the details follow the keys
        mov     r8d, [r15 + LAST_HIT]
        mov     dword ptr [rsp + FRAME_NEXT], 0
        cmp     r8d, r9d
        jae     scan
        call    contains
        jb      candidate
scan:
        mov     r8d, [rsp + FRAME_NEXT]
3:      cmp     r8d, r9d
        jae     chain
        call    contains
        jb      4f
        inc     r8d
        jmp     3b
4:      lea     eax, [r8 + 1]
        mov     [rsp + FRAME_NEXT], eax

candidate:
        mov     [rsp + FRAME_SLOT], r8d
        mov     r13d, r8d
        shl     r13, DETAILS_SHIFT
        add     r13, rdx

        # One thread at a time for each slot, and unregister() waits as long as BUSY is set: the
        # range cannot be given to somebody else while its pages are replaced here.
acquire:
        mov     r10d, 200
5:      xor     eax, eax
        mov     ecx, 1
        lock cmpxchg [r13 + BUSY], ecx
        je      acquired
        pause
        dec     r10d
        jnz     5b
        mov     qword ptr [rsp + FRAME_WORK], 0 # struct timespec: 0 s
        mov     qword ptr [rsp + FRAME_WORK + 8], 20000 # and 20 us, which lets the holder run
        mov     eax, SYS_NANOSLEEP
        lea     rdi, [rsp + FRAME_WORK]
        xor     esi, esi
        syscall
        jmp     acquire

        # The keys were read while they could change; now they are steady.
acquired:
        cmp     dword ptr [r13 + STATE], STATE_ACTIVE
        jne     6f
        call    contains
        jb      mine
6:      mov     dword ptr [r13 + BUSY], 0
        jmp     scan

mine:
        mov     [r15 + LAST_HIT], r8d
        mov     ecx, [r13 + PAGE_SHIFT]
        mov     r12d, 1
        shl     r12, cl                         # page size
        mov     rax, r12
        neg     rax
        and     r14, rax                        # page

        mov     r8, r14
        call    classify
        mov     [rsp + FRAME_CLASS], eax
        cmp     eax, READ_ONLY
        jb      release                         # another thread has repaired the page meanwhile
        ja      inaccessible
        test    byte ptr [rbp + UC_ERROR_CODE], 2
        jz      release                         # it was a read: repaired meanwhile
        cmp     dword ptr [rbx + SI_SIGNO], SIGBUS
        je      extend                          # no room on the disk for what is to be stored
        bt      dword ptr [r13 + FLAGS], FLAG_COPY_BIT
        jc      extend
        jmp     give_up
inaccessible:
        cmp     dword ptr [rbx + SI_SIGNO], SIGBUS
        je      extend
        bt      dword ptr [r13 + FLAGS], FLAG_HOLES_BIT
        jnc     give_up

        # A page that is there, but protected, keeps its content: it becomes one that can only be read,
        # and then a copy.
        mov     [rsp + FRAME_BYTES], r12
        mov     eax, SYS_MPROTECT
        mov     rdi, r14
        mov     rsi, r12
        mov     edx, PROT_READ
        syscall
        test    rax, rax
        jnz     extend                          # nothing is mapped
        mov     r8, r14
        call    classify
        cmp     eax, INACCESSIBLE
        je      extend                          # behind the end of the file
        mov     dword ptr [rsp + FRAME_CLASS], READ_ONLY
        jmp     replace

        # Every page that is replaced may become a mapping of its own for the kernel, which allows
        # 65,530, and costs a signal. After many, the pages behind that are alike are replaced along.
extend:
        mov     ecx, [r13 + EVENTS]
        shr     ecx, BLOCK_EVENTS_SHIFT
        mov     eax, BLOCK_SHIFT_LIMIT
        cmp     ecx, eax
        cmova   ecx, eax
        mov     rdx, r12
        shl     rdx, cl
        call    rest_of_range
        cmp     rdx, rsi
        cmova   rdx, rsi
        mov     [rsp + FRAME_LIMIT], rdx
        mov     [rsp + FRAME_BYTES], r12
7:      mov     r8, [rsp + FRAME_BYTES]
        cmp     r8, [rsp + FRAME_LIMIT]
        jae     8f
        add     r8, r14
        call    classify
        cmp     eax, [rsp + FRAME_CLASS]
        jne     8f
        add     [rsp + FRAME_BYTES], r12
        jmp     7b
8:      call    note
        cmp     dword ptr [rsp + FRAME_CLASS], READ_ONLY
        jne     zeros
        cmp     dword ptr [rbx + SI_SIGNO], SIGBUS
        je      copy
replace:
        bt      dword ptr [r13 + FLAGS], FLAG_PRIVATE_BIT
        jnc     copy

        # Read-only pages of a private mapping: the kernel copies them when they are stored to.
        mov     eax, SYS_MPROTECT
        mov     rdi, r14
        mov     rsi, [rsp + FRAME_BYTES]
        mov     edx, PROT_READ_WRITE
        syscall
        test    rax, rax
        jz      count
        call    rest_of_range                   # too many mappings: one protection for the rest
        mov     [rsp + FRAME_BYTES], rsi
        mov     eax, SYS_MPROTECT
        mov     rdi, r14
        mov     edx, PROT_READ_WRITE
        syscall
        test    rax, rax
        jz      count
        jmp     give_up

        # Read-only pages of a shared mapping: a copy is made elsewhere and moved over them in one
        # step, so that no thread ever sees half of it.
copy:
        mov     eax, SYS_MMAP
        xor     edi, edi
        mov     rsi, [rsp + FRAME_BYTES]
        mov     edx, PROT_READ_WRITE
        mov     r10d, MAP_PRIVATE_ANONYMOUS
        mov     r8, -1
        xor     r9d, r9d
        syscall
        cmp     rax, LAST_ERROR
        jae     give_up
        mov     rcx, [rsp + FRAME_BYTES]
        mov     [rsp + FRAME_WORK], rax         # struct iovec: the copy
        mov     [rsp + FRAME_WORK + 8], rcx
        mov     [rsp + FRAME_WORK + 16], r14    # struct iovec: the pages
        mov     [rsp + FRAME_WORK + 24], rcx
        mov     eax, SYS_GETPID
        syscall
        mov     rdi, rax
        lea     rsi, [rsp + FRAME_WORK]
        mov     edx, 1
        lea     r10, [rsp + FRAME_WORK + 16]
        mov     r8d, 1
        xor     r9d, r9d
        mov     eax, SYS_PROCESS_VM_READV       # does not fault if the file is cut at this moment,
        syscall                                 # and leaves zeros then
        test    rax, rax
        jns     9f
        cmp     rax, -EFAULT
        je      9f
        mov     rsi, r14                        # forbidden here: copy by hand
        mov     rdi, [rsp + FRAME_WORK]
        mov     rcx, [rsp + FRAME_BYTES]
        rep movsb
9:      mov     eax, SYS_MREMAP
        mov     rdi, [rsp + FRAME_WORK]
        mov     rsi, [rsp + FRAME_BYTES]
        mov     rdx, rsi
        mov     r10d, MREMAP_MAYMOVE_FIXED
        mov     r8, r14
        syscall
        cmp     rax, LAST_ERROR
        jb      count
        mov     eax, SYS_MUNMAP
        mov     rdi, [rsp + FRAME_WORK]
        mov     rsi, [rsp + FRAME_BYTES]
        syscall
        jmp     give_up

        # Pages that are not there: private zeros take their place.
zeros:
        mov     rsi, [rsp + FRAME_BYTES]
        call    map_zeros
        jb      count
        call    rest_of_range                   # too many mappings: one for the rest
        mov     [rsp + FRAME_BYTES], rsi
        call    note
        mov     rsi, [rsp + FRAME_BYTES]
        call    map_zeros
        jae     give_up

count:
        mov     ecx, [r13 + PAGE_SHIFT]
        mov     rax, [rsp + FRAME_BYTES]
        shr     rax, cl
        add     [r13 + EVENTS], eax
        lock add [r15 + TOTAL_EVENTS], eax      # of all slots
        call    note
        jne     release                         # a fault
        add     [r13 + VIOLATIONS], eax

release:
        mov     dword ptr [r13 + BUSY], 0
leave:
        add     rsp, FRAME_LENGTH
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret                                     # to the kernel, which tries the access again

give_up:
        mov     dword ptr [r13 + BUSY], 0

        # Not ours: as if this handler were not there.
chain:
        lea     r13, [r15 + PREVIOUS_BUS]
        mov     edi, [rbx + SI_SIGNO]
        cmp     edi, SIGBUS
        je      11f
        lea     r13, [r15 + PREVIOUS_SEGV]
11:     mov     r12, [r13]                      # the previous handler
        cmp     r12, 1
        jb      default
        je      ignore
        mov     eax, [r13 + PREVIOUS_FLAGS]
        bt      eax, SA_RESETHAND_BIT
        jnc     12f
        mov     qword ptr [r13], 0              # it wanted to run once
12:     mov     rdx, [rbp + UC_SIGMASK]         # the mask that it would have run with
        or      rdx, [r13 + PREVIOUS_MASK]
        bt      eax, SA_NODEFER_BIT
        jc      13f
        lea     ecx, [rdi - 1]
        bts     rdx, rcx
13:     mov     [rsp + FRAME_WORK], rdx
        mov     eax, SYS_RT_SIGPROCMASK
        mov     edi, SIG_SETMASK
        lea     rsi, [rsp + FRAME_WORK]
        xor     edx, edx
        mov     r10d, 8
        syscall
        mov     edi, [rbx + SI_SIGNO]
        mov     rsi, rbx
        mov     rdx, rbp
        mov     rax, r12
        add     rsp, FRAME_LENGTH
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        jmp     rax                             # on this stack frame, as if the kernel had called it

ignore:
        cmp     dword ptr [rbx + SI_CODE], 0
        jle     leave                           # sent by kill(): really ignored

        # The default, death: set it and send the same signal again, which waits for the return.
default:
        xorps   xmm0, xmm0
        movups  [rsp + FRAME_WORK], xmm0        # struct sigaction: SIG_DFL, no flags,
        movups  [rsp + FRAME_WORK + 16], xmm0   # no restorer, an empty mask
        mov     eax, SYS_RT_SIGACTION
        lea     rsi, [rsp + FRAME_WORK]
        xor     edx, edx
        mov     r10d, 8
        mov     edi, [rbx + SI_SIGNO]
        syscall
        mov     eax, SYS_GETPID
        syscall
        mov     r12, rax
        mov     eax, SYS_GETTID
        syscall
        mov     rdi, r12
        mov     rsi, rax
        mov     edx, [rbx + SI_SIGNO]
        mov     r10, rbx
        mov     eax, SYS_RT_TGSIGQUEUEINFO
        syscall
        jmp     leave

# Is the address xmm0 in the range of slot r8? Below (carry set) if so. Changes rax.
contains:
        mov     eax, r8d
        shl     rax, 4
        ucomisd xmm0, [r15 + rax + KEYS + 8]    # carry: address < end; an unused slot ends at 0
        jae     14f
        ucomisd xmm0, [r15 + rax + KEYS]        # carry: address < start
        cmc
14:     ret

# The class of the page at r8, in eax. Without touching it: the kernel answers EFAULT where a load or a
# store would fault.
classify:
        mov     qword ptr [rsp + 8 + FRAME_WORK], 0 # 8: the return address
        mov     qword ptr [rsp + 16 + FRAME_WORK], 0
        mov     eax, SYS_FUTEX
        mov     rdi, r8
        mov     esi, FUTEX_WAIT_PRIVATE
        mov     edx, UNUSUAL                    # wait if the word at r8 is this,
        lea     r10, [rsp + 8 + FRAME_WORK]     # and then no time
        syscall
        cmp     rax, -EFAULT
        mov     eax, INACCESSIBLE
        je      15f
        mov     eax, SYS_FUTEX
        mov     rdi, rsp                        # uaddr: a word on which nobody waits
        mov     esi, FUTEX_WAKE_OP_PRIVATE
        xor     edx, edx                        # wake nobody there
        xor     r10d, r10d                      # and nobody at r8, which is uaddr2
        mov     r9d, FUTEX_OP_OR_NOTHING        # after changing no bit of the word at r8
        syscall
        test    rax, rax
        mov     eax, WRITABLE
        jns     15f
        mov     eax, READ_ONLY
15:     ret

# rsi: bytes from the page to the end of the slot's range, in whole pages. Changes rax.
rest_of_range:
        mov     eax, [rsp + 8 + FRAME_SLOT]
        shl     rax, 4
        cvttsd2si rsi, [r15 + rax + KEYS + 8]
        sub     rsi, r14
        lea     rsi, [rsi + r12 - 1]
        mov     rax, r12
        neg     rax
        and     rsi, rax
        ret

# Writes down for JavaScript what becomes of the pages, before it happens: a thread that sees the new
# pages sees the note as well. Equal (zero flag) if it is a violation. Keeps rax, changes rdi and r8.
note:
        mov     r8d, [rsp + 8 + FRAME_SLOT]
        shl     r8, 4
        add     r8, r15
        cvtsi2sd xmm0, qword ptr [rbx + SI_ADDR]
        subsd   xmm0, [r8 + KEYS]               # offsets count from the start of the range
        cvtsi2sd xmm1, r14
        subsd   xmm1, [r8 + KEYS]
        cvtsi2sd xmm2, qword ptr [rsp + 8 + FRAME_BYTES]
        addsd   xmm2, xmm1
        lea     rdi, [r13 + FAULT_OFFSETS]
        cmp     dword ptr [rbx + SI_SIGNO], SIGBUS
        je      16f
        cmp     dword ptr [rsp + 8 + FRAME_CLASS], READ_ONLY
        jne     16f
        lea     rdi, [r13 + VIOLATION_OFFSETS]
16:     xorpd   xmm3, xmm3
        ucomisd xmm3, [rdi + FIRST]             # the first one stays until JavaScript makes it
        jbe     17f                             # negative
        movsd   [rdi + FIRST], xmm0
17:     minsd   xmm1, [rdi + LOWEST]
        movsd   [rdi + LOWEST], xmm1
        maxsd   xmm2, [rdi + END]
        movsd   [rdi + END], xmm2
        mov     dword ptr [r13 + TOUCHED], 1
        lea     r8, [r13 + VIOLATION_OFFSETS]
        cmp     rdi, r8
        ret

# Private zeros from the page on, rsi bytes. Below (carry set) if it worked.
map_zeros:
        mov     eax, SYS_MMAP
        mov     rdi, r14
        mov     edx, PROT_READ_WRITE
        mov     r10d, MAP_ZERO_PAGE
        mov     r8, -1
        xor     r9d, r9d
        syscall
        cmp     rax, LAST_ERROR
        ret

# mman_count(address, length, byte) -> how often the byte occurs. 64 bytes a step; four registers of
# byte counters, which are added up before they can overflow.
        .globl  mman_count
mman_count:
        cvttsd2si rdi, xmm0
        cvttsd2si rsi, xmm1
        cvttsd2si edx, xmm2
        movd    xmm7, edx
        punpcklbw xmm7, xmm7
        pshuflw xmm7, xmm7, 0
        pshufd  xmm7, xmm7, 0                   # the byte, sixteen times
        pxor    xmm6, xmm6
        pxor    xmm5, xmm5                      # the total, in two halves
        mov     eax, 255                        # steps after which a counter may be full
31:     mov     rcx, rsi
        shr     rcx, 6
        jz      33f
        cmp     rcx, rax
        cmova   rcx, rax
        mov     r8, rcx
        shl     r8, 6
        sub     rsi, r8
        pxor    xmm0, xmm0
        pxor    xmm1, xmm1
        pxor    xmm2, xmm2
        pxor    xmm3, xmm3
32:     movdqu  xmm4, [rdi]
        movdqu  xmm8, [rdi + 16]
        movdqu  xmm9, [rdi + 32]
        movdqu  xmm10, [rdi + 48]
        pcmpeqb xmm4, xmm7                      # -1 where equal
        pcmpeqb xmm8, xmm7
        pcmpeqb xmm9, xmm7
        pcmpeqb xmm10, xmm7
        psubb   xmm0, xmm4
        psubb   xmm1, xmm8
        psubb   xmm2, xmm9
        psubb   xmm3, xmm10
        add     rdi, 64
        dec     rcx
        jnz     32b
        psadbw  xmm0, xmm6
        psadbw  xmm1, xmm6
        psadbw  xmm2, xmm6
        psadbw  xmm3, xmm6
        paddq   xmm5, xmm0
        paddq   xmm5, xmm1
        paddq   xmm5, xmm2
        paddq   xmm5, xmm3
        jmp     31b
33:     pshufd  xmm0, xmm5, 0x4e
        paddq   xmm5, xmm0
        movq    rax, xmm5
34:     test    rsi, rsi                        # the last 63 bytes
        jz      35f
        xor     ecx, ecx
        cmp     [rdi], dl
        sete    cl
        add     rax, rcx
        inc     rdi
        dec     rsi
        jmp     34b
35:     cvtsi2sd xmm0, rax
        ret

# mman_has_crc32c(hwcap) -> 1 if this processor can run mman_crc32c, else 0. Asks the processor itself.
        .globl  mman_has_crc32c
mman_has_crc32c:
        push    rbx
        mov     eax, 1
        xor     ecx, ecx
        cpuid
        pop     rbx
        shr     ecx, 20                         # SSE4.2
        and     ecx, 1
        cvtsi2sd xmm0, ecx
        ret

# mman_crc32c(address, length, crc) -> the CRC-32C of the bytes, going on from `crc`; 0 to begin with.
        .globl  mman_crc32c
mman_crc32c:
        cvttsd2si rdi, xmm0
        cvttsd2si rsi, xmm1
        cvttsd2si rax, xmm2
        not     eax
        mov     rcx, rsi
        shr     rcx, 3
        jz      42f
41:     crc32   rax, qword ptr [rdi]
        add     rdi, 8
        dec     rcx
        jnz     41b
42:     and     esi, 7                          # the last 7 bytes
        jz      44f
43:     crc32   eax, byte ptr [rdi]
        inc     rdi
        dec     esi
        jnz     43b
44:     not     eax
        cvtsi2sd xmm0, rax
        ret

# mman_sum_f64(address, doubles) -> their sum. Sixteen sums at a time, which join the total after 64
# steps: that keeps rounding errors small.
        .globl  mman_sum_f64
mman_sum_f64:
        cvttsd2si rdi, xmm0
        cvttsd2si rsi, xmm1
        xorpd   xmm8, xmm8                      # the total, in two halves
        mov     eax, 64                         # steps of a block
51:     mov     rcx, rsi
        shr     rcx, 4
        jz      53f
        cmp     rcx, rax
        cmova   rcx, rax
        mov     r8, rcx
        shl     r8, 4
        sub     rsi, r8
        xorpd   xmm0, xmm0
        xorpd   xmm1, xmm1
        xorpd   xmm2, xmm2
        xorpd   xmm3, xmm3
        xorpd   xmm4, xmm4
        xorpd   xmm5, xmm5
        xorpd   xmm6, xmm6
        xorpd   xmm7, xmm7
52:     movupd  xmm9, [rdi]
        movupd  xmm10, [rdi + 16]
        movupd  xmm11, [rdi + 32]
        movupd  xmm12, [rdi + 48]
        addpd   xmm0, xmm9
        addpd   xmm1, xmm10
        addpd   xmm2, xmm11
        addpd   xmm3, xmm12
        movupd  xmm9, [rdi + 64]
        movupd  xmm10, [rdi + 80]
        movupd  xmm11, [rdi + 96]
        movupd  xmm12, [rdi + 112]
        addpd   xmm4, xmm9
        addpd   xmm5, xmm10
        addpd   xmm6, xmm11
        addpd   xmm7, xmm12
        sub     rdi, -128
        dec     rcx
        jnz     52b
        addpd   xmm0, xmm4
        addpd   xmm1, xmm5
        addpd   xmm2, xmm6
        addpd   xmm3, xmm7
        addpd   xmm0, xmm2
        addpd   xmm1, xmm3
        addpd   xmm0, xmm1
        addpd   xmm8, xmm0
        jmp     51b
53:     movapd  xmm0, xmm8
        unpckhpd xmm8, xmm8
        addsd   xmm0, xmm8
54:     test    rsi, rsi                        # the last 15
        jz      55f
        addsd   xmm0, [rdi]
        add     rdi, 8
        dec     rsi
        jmp     54b
55:     ret

# mman_read_file(path, address, length) -> how many bytes of a file were read, or a negative error number.
# In one call, because a Worker may be terminated between any two: it leaves no descriptor open.
        .globl  mman_read_file
mman_read_file:
        cvttsd2si rsi, xmm0
        cvttsd2si r8, xmm1                      # the kernel keeps all but rax, rcx and r11
        cvttsd2si r9, xmm2
        mov     rdi, AT_FDCWD
        mov     edx, O_RDONLY_CLOEXEC
        xor     r10d, r10d
        mov     eax, SYS_OPENAT
        syscall
        test    rax, rax
        js      61f
        mov     rdi, rax
        mov     rsi, r8
        mov     rdx, r9
        mov     eax, SYS_READ
        syscall
        mov     rsi, rax
        mov     eax, SYS_CLOSE
        syscall
        mov     rax, rsi
61:     cvtsi2sd xmm0, rax
        ret

/** Windows: the symbol tables of what is called there, and the error numbers that the calls end with. */
import { SystemCallError } from "./platform.ts";

/** kernel32's calls. A BOOL is 0 on failure, and GetLastError says why. */
export const kernel32Symbols = {
  /** {@link https://learn.microsoft.com/windows/win32/api/errhandlingapi/nf-errhandlingapi-getlasterror | GetLastError} */
  GetLastError: {
    parameters: [],
    result: "u32", // DWORD: the calling thread's last error
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsysteminfo | GetSystemInfo} */
  GetSystemInfo: {
    parameters: [
      "buffer", // LPSYSTEM_INFO lpSystemInfo
    ],
    result: "void",
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/synchapi/nf-synchapi-sleep | Sleep} */
  Sleep: {
    parameters: [
      "u32", // DWORD dwMilliseconds
    ],
    result: "void",
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualalloc | VirtualAlloc} */
  VirtualAlloc: {
    parameters: [
      "usize", // LPVOID lpAddress          0: the system chooses
      "usize", // SIZE_T dwSize             rounded up to pages
      "u32", //   DWORD flAllocationType    MEM_RESERVE, MEM_COMMIT, MEM_RESET, ...
      "u32", //   DWORD flProtect           PAGE_*
    ],
    result: "usize", // LPVOID: the address, or NULL and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualfree | VirtualFree} */
  VirtualFree: {
    parameters: [
      "usize", // LPVOID lpAddress
      "usize", // SIZE_T dwSize             0 with MEM_RELEASE
      "u32", //   DWORD dwFreeType          MEM_DECOMMIT or MEM_RELEASE
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualquery | VirtualQuery} */
  VirtualQuery: {
    parameters: [
      "usize", //  LPCVOID lpAddress
      "buffer", // PMEMORY_BASIC_INFORMATION lpBuffer
      "usize", //  SIZE_T dwLength
    ],
    result: "usize", // SIZE_T: bytes written, or 0 and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualprotect | VirtualProtect} */
  VirtualProtect: {
    parameters: [
      "usize", //  LPVOID lpAddress
      "usize", //  SIZE_T dwSize            every page that the range touches
      "u32", //    DWORD flNewProtect       PAGE_*
      "buffer", // PDWORD lpflOldProtect    must not be NULL
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtuallock | VirtualLock} */
  VirtualLock: {
    parameters: [
      "usize", // LPVOID lpAddress
      "usize", // SIZE_T dwSize
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualunlock | VirtualUnlock} */
  VirtualUnlock: {
    parameters: [
      "usize", // LPVOID lpAddress
      "usize", // SIZE_T dwSize
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-prefetchvirtualmemory | PrefetchVirtualMemory} */
  PrefetchVirtualMemory: {
    parameters: [
      "usize", //  HANDLE hProcess
      "usize", //  ULONG_PTR NumberOfEntries
      "buffer", // PWIN32_MEMORY_RANGE_ENTRY VirtualAddresses   { PVOID, SIZE_T } each
      "u32", //    ULONG Flags              0
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/psapi/nf-psapi-queryworkingsetex | QueryWorkingSetEx}, in kernel32 under this name */
  K32QueryWorkingSetEx: {
    parameters: [
      "usize", //  HANDLE hProcess
      "buffer", // PVOID pv                 PSAPI_WORKING_SET_EX_INFORMATION, one per page
      "u32", //    DWORD cb
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-getlargepageminimum | GetLargePageMinimum} */
  GetLargePageMinimum: {
    parameters: [],
    result: "usize", // SIZE_T: bytes, or 0 where there are no large pages
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-readprocessmemory | ReadProcessMemory} */
  ReadProcessMemory: {
    parameters: [
      "usize", //  HANDLE hProcess
      "usize", //  LPCVOID lpBaseAddress
      "usize", //  LPVOID lpBuffer
      "usize", //  SIZE_T nSize
      "usize", //  SIZE_T *lpNumberOfBytesRead   NULL: not needed
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-createfilemappingw | CreateFileMappingW} */
  CreateFileMappingW: {
    parameters: [
      "usize", //  HANDLE hFile
      "buffer", // LPSECURITY_ATTRIBUTES lpFileMappingAttributes   NULL: not inherited
      "u32", //    DWORD flProtect          PAGE_* and SEC_*
      "u32", //    DWORD dwMaximumSizeHigh  0 and 0: the file's size
      "u32", //    DWORD dwMaximumSizeLow
      "buffer", // LPCWSTR lpName           NULL: no name
    ],
    result: "usize", // HANDLE: the section, or NULL and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-openfilemappingw | OpenFileMappingW} */
  OpenFileMappingW: {
    parameters: [
      "u32", //    DWORD dwDesiredAccess   FILE_MAP_*
      "i32", //    BOOL bInheritHandle
      "buffer", // LPCWSTR lpName          UTF-16 and a NUL
    ],
    result: "usize", // HANDLE: NULL on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-mapviewoffile | MapViewOfFile} */
  MapViewOfFile: {
    parameters: [
      "usize", // HANDLE hFileMappingObject
      "u32", //   DWORD dwDesiredAccess     FILE_MAP_*
      "u32", //   DWORD dwFileOffsetHigh    a multiple of the allocation granularity
      "u32", //   DWORD dwFileOffsetLow
      "usize", // SIZE_T dwNumberOfBytesToMap
    ],
    result: "usize", // LPVOID: the address, or NULL and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-unmapviewoffile | UnmapViewOfFile} */
  UnmapViewOfFile: {
    parameters: [
      "usize", // LPCVOID lpBaseAddress
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-flushviewoffile | FlushViewOfFile} */
  FlushViewOfFile: {
    parameters: [
      "usize", // LPCVOID lpBaseAddress
      "usize", // SIZE_T dwNumberOfBytesToFlush
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-flushfilebuffers | FlushFileBuffers} */
  FlushFileBuffers: {
    parameters: [
      "usize", // HANDLE hFile              open for writing
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-getfiletype | GetFileType} */
  GetFileType: {
    parameters: [
      "usize", // HANDLE hFile
    ],
    result: "u32", // DWORD: FILE_TYPE_*, FILE_TYPE_UNKNOWN (0) on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-getfileinformationbyhandle | GetFileInformationByHandle} */
  GetFileInformationByHandle: {
    parameters: [
      "usize", //  HANDLE hFile
      "buffer", // LPBY_HANDLE_FILE_INFORMATION lpFileInformation
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-setfileinformationbyhandle | SetFileInformationByHandle} */
  SetFileInformationByHandle: {
    parameters: [
      "usize", //  HANDLE hFile
      "i32", //    FILE_INFO_BY_HANDLE_CLASS FileInformationClass
      "usize", //  LPVOID lpFileInformation
      "u32", //    DWORD dwBufferSize
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-setfilepointerex | SetFilePointerEx} */
  SetFilePointerEx: {
    parameters: [
      "usize", //  HANDLE hFile
      "i64", //    LARGE_INTEGER liDistanceToMove
      "buffer", // PLARGE_INTEGER lpNewFilePointer
      "u32", //    DWORD dwMoveMethod       FILE_BEGIN or FILE_CURRENT
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-lockfileex | LockFileEx} */
  LockFileEx: {
    parameters: [
      "usize", //  HANDLE hFile
      "u32", //    DWORD dwFlags            LOCKFILE_*
      "u32", //    DWORD dwReserved         0
      "u32", //    DWORD nNumberOfBytesToLockLow
      "u32", //    DWORD nNumberOfBytesToLockHigh
      "buffer", // LPOVERLAPPED lpOverlapped   where the range starts
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/ioapiset/nf-ioapiset-deviceiocontrol | DeviceIoControl} */
  DeviceIoControl: {
    parameters: [
      "usize", //  HANDLE hDevice
      "u32", //    DWORD dwIoControlCode    FSCTL_*
      "usize", //  LPVOID lpInBuffer
      "u32", //    DWORD nInBufferSize
      "usize", //  LPVOID lpOutBuffer
      "u32", //    DWORD nOutBufferSize
      "usize", //  LPDWORD lpBytesReturned  must not be NULL
      "usize", //  LPOVERLAPPED lpOverlapped   NULL: wait
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/processthreadsapi/nf-processthreadsapi-getprocesshandlecount | GetProcessHandleCount} */
  GetProcessHandleCount: {
    parameters: [
      "usize", //  HANDLE hProcess
      "buffer", // PDWORD pdwHandleCount
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-gethandleinformation | GetHandleInformation} */
  GetHandleInformation: {
    parameters: [
      "usize", //  HANDLE hObject
      "buffer", // LPDWORD lpdwFlags
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-duplicatehandle | DuplicateHandle} */
  DuplicateHandle: {
    parameters: [
      "usize", //  HANDLE hSourceProcessHandle
      "usize", //  HANDLE hSourceHandle
      "usize", //  HANDLE hTargetProcessHandle
      "buffer", // LPHANDLE lpTargetHandle
      "u32", //    DWORD dwDesiredAccess    0 with DUPLICATE_SAME_ACCESS
      "i32", //    BOOL bInheritHandle      0: child processes do not get it
      "u32", //    DWORD dwOptions
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
  /** {@link https://learn.microsoft.com/windows/win32/api/handleapi/nf-handleapi-closehandle | CloseHandle} */
  CloseHandle: {
    parameters: [
      "usize", // HANDLE hObject
    ],
    result: "i32", // BOOL: 0 on failure and GetLastError
  },
} as const;

/** kernel32's call of Windows 8.1 and later that Wine 8 lacks. */
export const discardSymbols = {
  /** {@link https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-discardvirtualmemory | DiscardVirtualMemory} */
  DiscardVirtualMemory: {
    parameters: [
      "usize", // PVOID VirtualAddress   page-aligned
      "usize", // SIZE_T Size            whole pages
    ],
    result: "u32", // DWORD: 0, or an error of winerror.h; GetLastError is not set
  },
} as const;

/** ucrtbase's memory functions. */
export const crtSymbols = {
  /** {@link https://learn.microsoft.com/cpp/c-runtime-library/reference/memchr-wmemchr | memchr} */
  memchr: {
    parameters: [
      "usize", // const void *buffer
      "i32", //   int c
      "usize", // size_t count
    ],
    result: "usize", // void *: the address, or NULL
  },
  /** {@link https://learn.microsoft.com/cpp/c-runtime-library/reference/memcmp-wmemcmp | memcmp} */
  memcmp: {
    parameters: [
      "usize", // const void *buffer1
      "usize", // const void *buffer2
      "usize", // size_t count
    ],
    result: "i32", // int: negative, 0 or positive
  },
  /** {@link https://learn.microsoft.com/cpp/c-runtime-library/reference/memset-wmemset | memset} */
  memset: {
    parameters: [
      "usize", // void *dest
      "i32", //   int c
      "usize", // size_t count
    ],
    result: "void", // void *: dest, not needed
  },
  /** {@link https://learn.microsoft.com/cpp/c-runtime-library/reference/memmove-wmemmove | memmove} */
  memmove: {
    parameters: [
      "usize", // void *dest
      "usize", // const void *src
      "usize", // size_t count
    ],
    result: "void", // void *: dest, not needed
  },
} as const;

/** The same for a view in the place of the second address. */
export const crtViewSymbols = {
  memcmp: {
    parameters: [
      "usize", //  const void *buffer1
      "buffer", // const void *buffer2
      "usize", //  size_t count
    ],
    result: "i32", // int: negative, 0 or positive
  },
} as const;

/** libuv's call, which the executables of Bun and Node export. */
export const libuvSymbols = {
  /** {@link https://docs.libuv.org/en/v1.x/fs.html#c.uv_get_osfhandle | uv_get_osfhandle} */
  uv_get_osfhandle: {
    parameters: [
      "i32", // int fd
    ],
    result: "isize", // uv_os_fd_t: the HANDLE, or INVALID_HANDLE_VALUE (-1)
  },
} as const;

/** The POSIX code that says best what an error of winerror.h means for a mapping. */
const posixCodes: Readonly<Record<number, string>> = {
  1: "ENOTSUP", // ERROR_INVALID_FUNCTION
  2: "ENOENT", // ERROR_FILE_NOT_FOUND
  3: "ENOENT", // ERROR_PATH_NOT_FOUND
  4: "EMFILE", // ERROR_TOO_MANY_OPEN_FILES
  5: "EACCES", // ERROR_ACCESS_DENIED
  6: "EBADF", // ERROR_INVALID_HANDLE
  8: "ENOMEM", // ERROR_NOT_ENOUGH_MEMORY
  14: "ENOMEM", // ERROR_OUTOFMEMORY
  19: "EROFS", // ERROR_WRITE_PROTECT
  32: "EBUSY", // ERROR_SHARING_VIOLATION
  33: "EBUSY", // ERROR_LOCK_VIOLATION
  39: "ENOSPC", // ERROR_HANDLE_DISK_FULL
  50: "ENOTSUP", // ERROR_NOT_SUPPORTED
  80: "EEXIST", // ERROR_FILE_EXISTS
  87: "EINVAL", // ERROR_INVALID_PARAMETER
  112: "ENOSPC", // ERROR_DISK_FULL
  120: "ENOSYS", // ERROR_CALL_NOT_IMPLEMENTED
  123: "EINVAL", // ERROR_INVALID_NAME
  183: "EEXIST", // ERROR_ALREADY_EXISTS
  206: "ENAMETOOLONG", // ERROR_FILENAME_EXCED_RANGE
  223: "EFBIG", // ERROR_FILE_TOO_LARGE
  487: "EINVAL", // ERROR_INVALID_ADDRESS
  299: "EFAULT", // ERROR_PARTIAL_COPY
  998: "EFAULT", // ERROR_NOACCESS
  1006: "EINVAL", // ERROR_FILE_INVALID: the file is empty
  1117: "EIO", // ERROR_IO_DEVICE
  1132: "EINVAL", // ERROR_MAPPED_ALIGNMENT
  1224: "EBUSY", // ERROR_USER_MAPPED_FILE: a mapped file cannot shrink
  1295: "EDQUOT", // ERROR_DISK_QUOTA_EXCEEDED
  1314: "EPERM", // ERROR_PRIVILEGE_NOT_HELD
  1450: "ENOMEM", // ERROR_NO_SYSTEM_RESOURCES
  1453: "ENOMEM", // ERROR_WORKING_SET_QUOTA
  1455: "ENOMEM", // ERROR_COMMITMENT_LIMIT
  1816: "ENOMEM", // ERROR_NOT_ENOUGH_QUOTA
};

/** The error of a call that failed with a number of winerror.h. */
export function windowsError(
  syscall: string,
  error: number,
  code: string = posixCodes[error] ?? `error ${error}`,
): SystemCallError {
  return new SystemCallError(syscall, error, code);
}

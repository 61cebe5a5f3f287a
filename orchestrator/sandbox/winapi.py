"""The few calls of Windows that a command is held with: structures, numbers, and one method for each step.

`Api` is what the backend needs; `winnative.py` makes the calls, and is there on Windows alone. Each method
that returns a handle leaves its caller to close it; a method that fails has closed what it opened, and raises
OSError. Widths are Windows' own (a DWORD has 32 bits everywhere), so that layouts can be checked on any
64-bit machine. Names and numbers are those of `winnt.h` and `winbase.h`.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_int64, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Protocol

DWORD, WORD, BOOL, HANDLE, SIZE_T = c_uint32, c_uint16, c_int32, c_void_p, c_size_t

# JOBOBJECT_BASIC_LIMIT_INFORMATION.LimitFlags
ACTIVE_PROCESS, PROCESS_MEMORY, JOB_MEMORY = 0x0008, 0x0100, 0x0200
DIE_ON_UNHANDLED_EXCEPTION, KILL_ON_JOB_CLOSE = 0x0400, 0x2000
# JOBOBJECT_BASIC_UI_RESTRICTIONS: handles of others, the clipboard (reading, writing), settings of the system
# and of the display, atoms of all programs, desktops, ending the session
UI_ALL = 0x0001 | 0x0002 | 0x0004 | 0x0008 | 0x0010 | 0x0020 | 0x0040 | 0x0080
# CreateProcess: suspended, in a group and with a console of its own, with an attribute list
CREATION = 0x0000_0004 | 0x0000_0200 | 0x0800_0000 | 0x0000_0400 | 0x0008_0000
# CreateRestrictedToken: without privileges, and without an administrator's groups
DISABLE_MAX_PRIVILEGE, LUA_TOKEN = 0x1, 0x4
LOW_SID = "S-1-16-4096"
LOW_FOLDER, LOW_FILE = "S:(ML;OICI;NW;;;LW)", "S:(ML;;NW;;;LW)"
MEDIUM = "S:(ML;;NW;;;ME)"
"""Integrity labels: a process cannot write to what is labelled higher than itself."""


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION, 64 bytes."""

    _fields_ = (
        ("PerProcessUserTimeLimit", c_int64),
        ("PerJobUserTimeLimit", c_int64),
        ("LimitFlags", DWORD),
        ("MinimumWorkingSetSize", SIZE_T),
        ("MaximumWorkingSetSize", SIZE_T),
        ("ActiveProcessLimit", DWORD),
        ("Affinity", c_size_t),
        ("PriorityClass", DWORD),
        ("SchedulingClass", DWORD),
    )


class IoCounters(ctypes.Structure):
    """IO_COUNTERS, 48 bytes."""

    _fields_ = tuple(
        (f"{kind}{what}Count", c_uint64)
        for what in ("Operation", "Transfer")
        for kind in ("Read", "Write", "Other")
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, 144 bytes."""

    _fields_ = (
        ("BasicLimitInformation", BasicLimits),
        ("IoInfo", IoCounters),
        ("ProcessMemoryLimit", SIZE_T),
        ("JobMemoryLimit", SIZE_T),
        ("PeakProcessMemoryUsed", SIZE_T),
        ("PeakJobMemoryUsed", SIZE_T),
    )


class Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, 48 bytes."""

    _fields_ = (
        ("TotalUserTime", c_int64),
        ("TotalKernelTime", c_int64),
        ("ThisPeriodTotalUserTime", c_int64),
        ("ThisPeriodTotalKernelTime", c_int64),
        ("TotalPageFaultCount", DWORD),
        ("TotalProcesses", DWORD),
        ("ActiveProcesses", DWORD),
        ("TotalTerminatedProcesses", DWORD),
    )


class StartupInfo(ctypes.Structure):
    """STARTUPINFOW, 104 bytes."""

    _fields_ = (
        ("cb", DWORD),
        ("lpReserved", c_void_p),
        ("lpDesktop", c_void_p),
        ("lpTitle", c_void_p),
        ("dwX", DWORD),
        ("dwY", DWORD),
        ("dwXSize", DWORD),
        ("dwYSize", DWORD),
        ("dwXCountChars", DWORD),
        ("dwYCountChars", DWORD),
        ("dwFillAttribute", DWORD),
        ("dwFlags", DWORD),
        ("wShowWindow", WORD),
        ("cbReserved2", WORD),
        ("lpReserved2", c_void_p),
        ("hStdInput", HANDLE),
        ("hStdOutput", HANDLE),
        ("hStdError", HANDLE),
    )


class StartupInfoEx(ctypes.Structure):
    """STARTUPINFOEXW, 112 bytes."""

    _fields_ = (("StartupInfo", StartupInfo), ("lpAttributeList", c_void_p))


class ProcessInformation(ctypes.Structure):
    """PROCESS_INFORMATION, 24 bytes."""

    _fields_ = (("hProcess", HANDLE), ("hThread", HANDLE), ("dwProcessId", DWORD), ("dwThreadId", DWORD))


class MandatoryLabel(ctypes.Structure):
    """TOKEN_MANDATORY_LABEL: one SID_AND_ATTRIBUTES, 16 bytes."""

    _fields_ = (("Sid", c_void_p), ("Attributes", DWORD))


def job_limits(memory: int, processes: int) -> ExtendedLimits:
    """Limits of a job: it ends with its last handle, and nobody can break away from it.

    Args:
        memory: bytes that a process, and all of them together, may have committed.
        processes: that may live at once.
    """
    limits = ExtendedLimits()
    limits.BasicLimitInformation.LimitFlags = (
        KILL_ON_JOB_CLOSE | DIE_ON_UNHANDLED_EXCEPTION | ACTIVE_PROCESS | PROCESS_MEMORY | JOB_MEMORY
    )
    limits.BasicLimitInformation.ActiveProcessLimit = min(processes, 0xFFFF_FFFF)
    limits.ProcessMemoryLimit = limits.JobMemoryLimit = memory
    return limits


class Api(Protocol):
    """The steps, in the order in which they are taken."""

    def low_token(self) -> int:
        """A copy of this process's token: no privileges, no administrator's groups, low integrity."""

    def label(self, path: Path, label: str) -> None:
        """Give a file or folder an integrity label; a link or junction gets it, not what it leads to."""

    def hold(self, path: Path) -> int:
        """Open a file so that nobody can write, rename or delete it until the handle is closed."""

    def in_job(self) -> bool:
        """Whether this process is part of a job, so that its children are born into it."""

    def create_job(self, limits: ExtendedLimits, ui: int) -> int:
        """A job with these limits; `ui` 0 sets no restriction of the user interface."""

    def null(self) -> int:
        """NUL, for reading, inheritable."""

    def inheritable(self, descriptor: int) -> int:
        """An inheritable copy of the handle behind a descriptor."""

    def create_process(
        self, token: int | None, program: str, line: str, environment: str, folder: str, std: tuple[int, int]
    ) -> tuple[int, int, int]:
        """Create a suspended process that inherits the two handles and nothing else.

        Args:
            token: None for this process's own.
            program: the file that is run.
            line: its command line.
            environment: `NAME=value` entries, each ended by a NUL, and one more at the end.
            folder: where it starts.
            std: its standard input, and its output and errors.

        Returns:
            Its handle, its first thread's, and its number.
        """

    def assign(self, job: int, process: int) -> None:
        """Put a process into a job."""

    def resume(self, thread: int) -> None:
        """Let a suspended thread run."""

    def ended(self, process: int, seconds: float | None) -> bool:
        """Wait for the end, None for as long as it takes; False when it still runs."""

    def exit_code(self, process: int) -> int:
        """The exit code of a process that has ended."""

    def terminate(self, process: int) -> None:
        """End one process."""

    def terminate_job(self, job: int) -> None:
        """End every process of a job."""

    def active(self, job: int) -> int:
        """How many processes of a job live."""

    def close(self, handle: int) -> None:
        """Close a handle."""

"""`winapi.Api` on Windows: each method makes its calls through ctypes and turns a refusal into an OSError."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from ctypes import POINTER, byref, c_int32, c_size_t, c_void_p, c_wchar_p, sizeof
from pathlib import Path

from orchestrator.sandbox.winapi import (
    BOOL,
    CREATION,
    DISABLE_MAX_PRIVILEGE,
    DWORD,
    HANDLE,
    LOW_SID,
    LUA_TOKEN,
    SIZE_T,
    Accounting,
    ExtendedLimits,
    MandatoryLabel,
    ProcessInformation,
    StartupInfoEx,
)

assert sys.platform == "win32"

import msvcrt  # noqa: E402

_INVALID = c_void_p(-1).value
_INFINITE, _TIMEOUT, _FAILED = 0xFFFF_FFFF, 0x102, 0xFFFF_FFFF
_TOKEN_ACCESS = 0x0001 | 0x0002 | 0x0008 | 0x0080  # assign as primary, duplicate, query, adjust its default
_TOKEN_INTEGRITY_LEVEL, _SE_GROUP_INTEGRITY = 25, 0x20
_ACCOUNTING, _UI, _EXTENDED = 1, 4, 9  # JOBOBJECTINFOCLASS
_GENERIC_READ, _READ_CONTROL, _WRITE_OWNER = 0x8000_0000, 0x0002_0000, 0x0008_0000
_SHARE_READ, _SHARE_ALL = 0x1, 0x1 | 0x2 | 0x4
_OPEN_EXISTING, _AS_IT_IS = 3, 0x0200_0000 | 0x0020_0000  # folders too; a link itself
_LABEL_INFORMATION = 0x10
_HANDLE_LIST = 0x0002_0002
_USE_HANDLES = 0x100
_FLAG_INHERIT, _SAME_ACCESS = 0x1, 0x2

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_advapi = ctypes.WinDLL("advapi32", use_last_error=True)


def _declare(library: ctypes.WinDLL, result: type | None, **functions: tuple[type, ...]) -> None:
    for name, arguments in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


_PROCESS = (c_wchar_p, c_void_p, c_void_p, c_void_p, BOOL, DWORD, c_void_p, c_wchar_p, c_void_p, c_void_p)
_declare(
    _kernel,
    BOOL,
    AssignProcessToJobObject=(HANDLE, HANDLE),
    CloseHandle=(HANDLE,),
    CreateProcessW=_PROCESS,
    DuplicateHandle=(HANDLE, HANDLE, HANDLE, POINTER(HANDLE), DWORD, BOOL, DWORD),
    GetExitCodeProcess=(HANDLE, POINTER(DWORD)),
    InitializeProcThreadAttributeList=(c_void_p, DWORD, DWORD, POINTER(SIZE_T)),
    IsProcessInJob=(HANDLE, HANDLE, POINTER(BOOL)),
    QueryInformationJobObject=(HANDLE, c_int32, c_void_p, DWORD, c_void_p),
    SetHandleInformation=(HANDLE, DWORD, DWORD),
    SetInformationJobObject=(HANDLE, c_int32, c_void_p, DWORD),
    TerminateJobObject=(HANDLE, DWORD),
    TerminateProcess=(HANDLE, DWORD),
    UpdateProcThreadAttribute=(c_void_p, DWORD, c_size_t, c_void_p, SIZE_T, c_void_p, c_void_p),
)
_declare(
    _kernel,
    HANDLE,
    CreateFileW=(c_wchar_p, DWORD, DWORD, c_void_p, DWORD, DWORD, HANDLE),
    CreateJobObjectW=(c_void_p, c_wchar_p),
    GetCurrentProcess=(),
    LocalFree=(HANDLE,),
)
_declare(_kernel, DWORD, ResumeThread=(HANDLE,), WaitForSingleObject=(HANDLE, DWORD))
_declare(_kernel, None, DeleteProcThreadAttributeList=(c_void_p,))
_declare(
    _advapi,
    BOOL,
    ConvertStringSecurityDescriptorToSecurityDescriptorW=(c_wchar_p, DWORD, POINTER(c_void_p), c_void_p),
    ConvertStringSidToSidW=(c_wchar_p, POINTER(c_void_p)),
    CreateProcessAsUserW=(HANDLE, *_PROCESS),
    CreateRestrictedToken=(
        *(HANDLE, DWORD, DWORD, c_void_p, DWORD, c_void_p, DWORD, c_void_p),
        POINTER(HANDLE),
    ),
    OpenProcessToken=(HANDLE, DWORD, POINTER(HANDLE)),
    SetKernelObjectSecurity=(HANDLE, DWORD, c_void_p),
    SetTokenInformation=(HANDLE, c_int32, c_void_p, DWORD),
)
_declare(_advapi, DWORD, GetLengthSid=(c_void_p,))


class Native:
    """The calls themselves."""

    def low_token(self) -> int:
        """CreateRestrictedToken, and the low label on what it gave."""
        own, low = HANDLE(), HANDLE()
        _ok(_advapi.OpenProcessToken(_kernel.GetCurrentProcess(), _TOKEN_ACCESS, byref(own)))
        try:
            flags = DISABLE_MAX_PRIVILEGE | LUA_TOKEN
            _ok(_advapi.CreateRestrictedToken(own, flags, 0, None, 0, None, 0, None, byref(low)))
        finally:
            self.close(_handle(own.value))
        token = _handle(low.value)
        try:
            with _sid(LOW_SID) as sid:
                label = MandatoryLabel(sid, _SE_GROUP_INTEGRITY)
                size = sizeof(label) + _advapi.GetLengthSid(sid)
                _ok(_advapi.SetTokenInformation(token, _TOKEN_INTEGRITY_LEVEL, byref(label), size))
        except BaseException:
            self.close(token)
            raise
        return token

    def label(self, path: Path, label: str) -> None:
        """SetKernelObjectSecurity on a handle: unlike the calls by name, it passes nothing on to children."""
        handle = _open(path, _READ_CONTROL | _WRITE_OWNER, _SHARE_ALL)
        try:
            with _descriptor(label) as descriptor:
                _ok(_advapi.SetKernelObjectSecurity(handle, _LABEL_INFORMATION, descriptor))
        finally:
            self.close(handle)

    def hold(self, path: Path) -> int:
        """Opened for reading, shared for reading only."""
        return _open(path, _GENERIC_READ, _SHARE_READ)

    def in_job(self) -> bool:
        """IsProcessInJob, any job."""
        found = BOOL()
        _ok(_kernel.IsProcessInJob(_kernel.GetCurrentProcess(), None, byref(found)))
        return bool(found.value)

    def create_job(self, limits: ExtendedLimits, ui: int) -> int:
        """CreateJobObject, unnamed and not inherited."""
        job = _handle(_kernel.CreateJobObjectW(None, None))
        try:
            _ok(_kernel.SetInformationJobObject(job, _EXTENDED, byref(limits), sizeof(limits)))
            if ui:
                restrictions = DWORD(ui)
                _ok(_kernel.SetInformationJobObject(job, _UI, byref(restrictions), sizeof(restrictions)))
        except BaseException:
            self.close(job)
            raise
        return job

    def null(self) -> int:
        """The device NUL."""
        handle = _handle(_kernel.CreateFileW("NUL", _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, 0, None))
        try:
            _ok(_kernel.SetHandleInformation(handle, _FLAG_INHERIT, _FLAG_INHERIT))
        except BaseException:
            self.close(handle)
            raise
        return handle

    def inheritable(self, descriptor: int) -> int:
        """DuplicateHandle: the descriptor's own handle stays as it is."""
        own, copy = _kernel.GetCurrentProcess(), HANDLE()
        source = msvcrt.get_osfhandle(descriptor)
        _ok(_kernel.DuplicateHandle(own, source, own, byref(copy), 0, True, _SAME_ACCESS))
        return _handle(copy.value)

    def create_process(
        self, token: int | None, program: str, line: str, environment: str, folder: str, std: tuple[int, int]
    ) -> tuple[int, int, int]:
        """CreateProcessAsUserW, or CreateProcessW without a token."""
        written = ctypes.create_unicode_buffer(line)  # the call may write to it
        block = ctypes.create_unicode_buffer(environment, len(environment) + 1)
        found = ProcessInformation()
        with _attributes(std) as attributes:
            start = StartupInfoEx()
            start.StartupInfo.cb = sizeof(start)
            start.StartupInfo.dwFlags = _USE_HANDLES
            start.StartupInfo.hStdInput, start.StartupInfo.hStdOutput = std
            start.StartupInfo.hStdError = std[1]
            start.lpAttributeList = attributes
            call = (program, written, None, None, True, CREATION, block, folder, byref(start), byref(found))
            if token is None:
                _ok(_kernel.CreateProcessW(*call))
            else:
                _ok(_advapi.CreateProcessAsUserW(token, *call))
        return _handle(found.hProcess), _handle(found.hThread), int(found.dwProcessId)

    def assign(self, job: int, process: int) -> None:
        """AssignProcessToJobObject."""
        _ok(_kernel.AssignProcessToJobObject(job, process))

    def resume(self, thread: int) -> None:
        """ResumeThread."""
        _ok(_kernel.ResumeThread(thread) != _FAILED)

    def ended(self, process: int, seconds: float | None) -> bool:
        """WaitForSingleObject."""
        milliseconds = _INFINITE if seconds is None else min(max(0, round(seconds * 1000)), _INFINITE - 1)
        result = _kernel.WaitForSingleObject(process, milliseconds)
        _ok(result != _FAILED)
        return bool(result != _TIMEOUT)

    def exit_code(self, process: int) -> int:
        """GetExitCodeProcess."""
        code = DWORD()
        _ok(_kernel.GetExitCodeProcess(process, byref(code)))
        return int(code.value)

    def terminate(self, process: int) -> None:
        """TerminateProcess."""
        _ok(_kernel.TerminateProcess(process, 1))

    def terminate_job(self, job: int) -> None:
        """TerminateJobObject."""
        _ok(_kernel.TerminateJobObject(job, 1))

    def active(self, job: int) -> int:
        """QueryInformationJobObject."""
        found = Accounting()
        _ok(_kernel.QueryInformationJobObject(job, _ACCOUNTING, byref(found), sizeof(found), None))
        return int(found.ActiveProcesses)

    def close(self, handle: int) -> None:
        """CloseHandle."""
        _kernel.CloseHandle(handle)


def _ok(result: object) -> None:
    """Raise what the last call failed with, unless it did not."""
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())


def _handle(value: int | None) -> int:
    if not value or value == _INVALID:
        raise ctypes.WinError(ctypes.get_last_error())
    return value


def _open(path: Path, access: int, share: int) -> int:
    found = _kernel.CreateFileW(str(path), access, share, None, _OPEN_EXISTING, _AS_IT_IS, None)
    return _handle(found)


@contextlib.contextmanager
def _sid(text: str) -> Iterator[c_void_p]:
    sid = c_void_p()
    _ok(_advapi.ConvertStringSidToSidW(text, byref(sid)))
    try:
        yield sid
    finally:
        _kernel.LocalFree(sid)


@contextlib.contextmanager
def _descriptor(text: str) -> Iterator[c_void_p]:
    found = c_void_p()
    _ok(_advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(text, 1, byref(found), None))
    try:
        yield found
    finally:
        _kernel.LocalFree(found)


@contextlib.contextmanager
def _attributes(std: tuple[int, int]) -> Iterator[int]:
    """An attribute list by which a process inherits these handles alone."""
    size = SIZE_T()
    _kernel.InitializeProcThreadAttributeList(None, 1, 0, byref(size))  # fails by design: it gives the size
    buffer = ctypes.create_string_buffer(size.value)
    where = ctypes.addressof(buffer)
    _ok(_kernel.InitializeProcThreadAttributeList(where, 1, 0, byref(size)))
    handles = (HANDLE * len(std))(*std)  # the list keeps its address: it lives as long
    try:
        _ok(_kernel.UpdateProcThreadAttribute(where, 0, _HANDLE_LIST, handles, sizeof(handles), None, None))
        yield where
    finally:
        _kernel.DeleteProcThreadAttributeList(where)

"""The calls of `winnative.py`, through ctypes' own conversions, into a double of Windows' libraries.

What ctypes would refuse on Windows it refuses here: a missing argument, or one of a kind not declared.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sandbox import winapi

BAD = ctypes.c_void_p(-1).value
FAILURE = {"CreateFileW": BAD, "ResumeThread": 0xFFFF_FFFF, "WaitForSingleObject": 0xFFFF_FFFF}
NOTHING = {"CloseHandle", "LocalFree", "GetCurrentProcess", "DeleteProcThreadAttributeList", "GetLengthSid"}


class Function:
    """One function of a library, with the result and arguments that were declared for it."""

    restype: Any = None
    argtypes: tuple[Any, ...] | None = None

    def __init__(self, system: System, name: str) -> None:
        self.system, self.name = system, name

    def __call__(self, *arguments: Any) -> Any:
        assert self.argtypes is not None, f"{self.name} was not declared: its handles would be cut to 32 bits"
        assert len(arguments) == len(self.argtypes), self.name
        for kind, argument in zip(self.argtypes, arguments, strict=True):
            kind.from_param(argument)
        return self.system.call(self.name, arguments)


class Library:
    """`ctypes.WinDLL`: functions come to be when they are asked for."""

    def __init__(self, system: System) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Function:
        function = Function(self._system, name)
        setattr(self, name, function)
        return function


class System:
    """What is open, what is allocated, and what was called."""

    def __init__(self) -> None:
        self.handles: set[int] = set()
        self.memory: set[int] = set()
        self.lists = 0
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.fail = ""
        self.waiting = 0
        self._next = 0x1_0000_0000  # wider than 32 bits: what is cut off is noticed

    def clean(self) -> bool:
        return not self.handles and not self.memory and not self.lists

    def of(self, name: str) -> tuple[Any, ...]:
        (found,) = [arguments for called, arguments in self.calls if called == name]
        return found

    def handle(self) -> int:
        self._next += 4
        self.handles.add(self._next)
        return self._next

    def call(self, name: str, given: tuple[Any, ...]) -> Any:
        self.calls.append((name, given))
        if name == self.fail:
            return FAILURE.get(name, 0)
        found = getattr(self, f"_{name}", None)
        return found(*given) if found else 1

    def _allocate(self, pointer: Any) -> int:
        self._next += 16
        self.memory.add(self._next)
        pointer._obj.value = self._next
        return 1

    def _put(self, pointer: Any) -> int:
        pointer._obj.value = self.handle()
        return 1

    def _GetCurrentProcess(self) -> Any:
        return BAD

    def _CloseHandle(self, handle: int) -> int:
        self.handles.remove(handle)
        return 1

    def _LocalFree(self, pointer: Any) -> None:
        self.memory.remove(pointer.value)

    def _OpenProcessToken(self, _process: int, _access: int, token: Any) -> int:
        return self._put(token)

    def _CreateRestrictedToken(self, *given: Any) -> int:
        assert given[0].value in self.handles
        return self._put(given[-1])

    def _ConvertStringSidToSidW(self, _text: str, sid: Any) -> int:
        return self._allocate(sid)

    def _GetLengthSid(self, _sid: Any) -> int:
        return 12

    def _ConvertStringSecurityDescriptorToSecurityDescriptorW(
        self, _text: str, revision: int, found: Any, _size: Any
    ) -> int:
        assert revision == 1
        return self._allocate(found)

    def _CreateFileW(self, *_: Any) -> int:
        return self.handle()

    def _CreateJobObjectW(self, *_: Any) -> int:
        return self.handle()

    def _DuplicateHandle(self, *given: Any) -> int:
        return self._put(given[3])

    def _IsProcessInJob(self, _process: int, _job: int, found: Any) -> int:
        found._obj.value = 1
        return 1

    def _InitializeProcThreadAttributeList(self, where: Any, count: int, flags: int, size: Any) -> int:
        assert (count, flags) == (1, 0)
        if where is None:
            size._obj.value = 48
            return 0
        self.lists += 1
        return 1

    def _DeleteProcThreadAttributeList(self, _where: int) -> None:
        self.lists -= 1

    def _create(self, *given: Any) -> int:
        assert self.lists == 1, "the list of handles lives while the process is created"
        self.line, self.block, self.start = given[1].value, given[6][:], given[8]._obj
        found = given[9]._obj
        found.hProcess, found.hThread, found.dwProcessId = self.handle(), self.handle(), 4242
        return 1

    def _CreateProcessW(self, *given: Any) -> int:
        return self._create(*given)

    def _CreateProcessAsUserW(self, token: int, *given: Any) -> int:
        assert token in self.handles
        return self._create(*given)

    def _GetExitCodeProcess(self, _process: int, code: Any) -> int:
        code._obj.value = 0xC000_0005
        return 1

    def _WaitForSingleObject(self, _process: int, _milliseconds: int) -> int:
        return self.waiting

    def _QueryInformationJobObject(self, _job: int, kind: int, found: Any, size: int, _got: Any) -> int:
        assert (kind, size) == (1, 48)
        found._obj.ActiveProcesses = 3
        return 1


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Windows' libraries, for as long as the module is loaded into them."""
    if sys.platform == "win32":
        pytest.skip("the libraries are real here")
    found = System()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", lambda _name, use_last_error: Library(found), raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 5, raising=False)
    monkeypatch.setattr(ctypes, "WinError", lambda code: OSError(code, "Access is denied"), raising=False)
    msvcrt = types.ModuleType("msvcrt")
    msvcrt.get_osfhandle = lambda descriptor: 1000 + descriptor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    yield found
    sys.modules.pop("orchestrator.sandbox.winnative", None)


@pytest.fixture
def native(system: System) -> winapi.Api:
    sys.modules.pop("orchestrator.sandbox.winnative", None)
    return importlib.import_module("orchestrator.sandbox.winnative").Native()  # type: ignore[no-any-return]


def create(native: winapi.Api, system: System, token: int | None) -> tuple[int, int, int]:
    std = (system.handle(), system.handle())
    return native.create_process(token, r"C:\p.exe", "p -V", "A=1\0B=2\0\0", r"C:\wt", std)


STEPS: dict[str, Callable[[winapi.Api, System], object]] = {
    "low_token": lambda native, _: native.low_token(),
    "label": lambda native, _: native.label(Path("wt"), winapi.LOW_FOLDER),
    "hold": lambda native, _: native.hold(Path("wt/.git")),
    "in_job": lambda native, _: native.in_job(),
    "create_job": lambda native, _: native.create_job(winapi.job_limits(2**33, 64), winapi.UI_ALL),
    "null": lambda native, _: native.null(),
    "inheritable": lambda native, _: native.inheritable(1),
    "create_process": lambda native, system: create(native, system, system.handle()),
    "create_process without a token": lambda native, system: create(native, system, None),
    "assign": lambda native, _: native.assign(1, 2),
    "resume": lambda native, _: native.resume(1),
    "ended": lambda native, _: native.ended(1, 0.5),
    "exit_code": lambda native, _: native.exit_code(1),
    "terminate": lambda native, _: native.terminate(1),
    "terminate_job": lambda native, _: native.terminate_job(1),
    "active": lambda native, _: native.active(1),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_call_that_windows_refuses_is_an_error_and_leaves_nothing_open(
    native: winapi.Api, system: System, step: str
) -> None:
    STEPS[step](native, system)
    made = {name for name, _ in system.calls} - NOTHING
    assert made
    for name in made:
        system.fail = ""
        for handles in (system.handles, system.memory):
            handles.clear()
        before = set(system.handles)
        system.fail = name
        with pytest.raises(OSError, match="Access is denied"):
            STEPS[step](native, system)
        given = 3 if step == "create_process" else 2 if step.startswith("create_process") else 0
        assert len(system.handles - before) == given and not system.memory and not system.lists, name


def test_the_token_is_low_and_without_privileges(native: winapi.Api, system: System) -> None:
    token = native.low_token()
    assert system.handles == {token} and not system.memory
    assert system.of("CreateRestrictedToken")[1] == 0x1 | 0x4
    handle, kind, label, size = system.of("SetTokenInformation")
    assert (handle, kind, size) == (token, 25, 16 + 12)
    assert label._obj.Attributes == 0x20
    assert system.of("ConvertStringSidToSidW")[0] == "S-1-16-4096"


def test_a_label_is_put_on_the_thing_itself_not_on_what_it_leads_to(
    native: winapi.Api, system: System
) -> None:
    native.label(Path("wt"), winapi.LOW_FOLDER)
    path, access, share, _, disposition, flags, _ = system.of("CreateFileW")
    assert (path, access, share, disposition) == ("wt", 0x2_0000 | 0x8_0000, 7, 3)
    assert flags & 0x0020_0000, "FILE_FLAG_OPEN_REPARSE_POINT"
    assert flags & 0x0200_0000, "FILE_FLAG_BACKUP_SEMANTICS: folders too"
    assert system.of("SetKernelObjectSecurity")[1] == 0x10
    assert system.clean()


def test_what_is_held_can_be_read_by_others_and_no_more(native: winapi.Api, system: System) -> None:
    native.hold(Path("wt/.git"))
    assert system.of("CreateFileW")[1:3] == (0x8000_0000, 0x1)


def test_a_job_gets_its_limits_and_restrictions(native: winapi.Api, system: System) -> None:
    native.create_job(winapi.job_limits(2**33, 64), winapi.UI_ALL)
    (first, second) = [given for name, given in system.calls if name == "SetInformationJobObject"]
    assert (first[1], first[3], first[2]._obj.JobMemoryLimit) == (9, 144, 2**33)
    assert (second[1], second[3], second[2]._obj.value) == (4, 4, 0xFF)
    system.calls.clear()
    native.create_job(winapi.job_limits(2**33, 64), 0)
    assert len([name for name, _ in system.calls if name == "SetInformationJobObject"]) == 1


@pytest.mark.parametrize("name", ["CreateProcessW", "CreateProcessAsUserW"])
def test_a_process_inherits_its_two_handles_and_nothing_else(
    native: winapi.Api, system: System, name: str
) -> None:
    token = system.handle() if "AsUser" in name else None
    process, thread, pid = create(native, system, token)
    given = system.of(name)[0 if token is None else 1 :]
    assert (given[0], given[4], given[5], given[7]) == (r"C:\p.exe", True, winapi.CREATION, r"C:\wt")
    assert system.line == "p -V"
    assert "".join(system.block).startswith("A=1\0B=2\0\0")
    start = system.start
    assert (start.StartupInfo.cb, start.StartupInfo.dwFlags, start.StartupInfo.lpDesktop) == (
        112,
        0x100,
        None,
    )
    std = [start.StartupInfo.hStdInput, start.StartupInfo.hStdOutput, start.StartupInfo.hStdError]
    _, _, attribute, handles, size, _, _ = system.of("UpdateProcThreadAttribute")
    assert (attribute, size) == (0x2_0002, 16)
    assert std == [handles[0], handles[1], handles[1]]
    assert {process, thread} <= system.handles and pid == 4242 and not system.lists


def test_standard_handles_are_inheritable_and_the_descriptor_stays_as_it_is(
    native: winapi.Api, system: System
) -> None:
    native.null()
    assert system.of("CreateFileW")[0] == "NUL"
    assert system.of("SetHandleInformation")[1:] == (1, 1)
    native.inheritable(7)
    assert system.of("DuplicateHandle")[1] == 1007
    assert system.of("DuplicateHandle")[5:] == (True, 2)


def test_waiting_tells_the_end_from_the_time(native: winapi.Api, system: System) -> None:
    assert native.ended(1, None)
    system.waiting = 0x102
    assert not native.ended(1, 0.25)
    assert [given[1] for name, given in system.calls if name == "WaitForSingleObject"] == [0xFFFF_FFFF, 250]
    native.ended(1, 1e12)
    assert system.calls[-1][1][1] == 0xFFFF_FFFE, "long, but not for ever"
    assert (native.exit_code(1), native.active(1), native.in_job()) == (0xC000_0005, 3, True)


def test_it_is_not_loaded_elsewhere() -> None:
    if sys.platform == "win32":
        pytest.skip("it belongs here")
    sys.modules.pop("orchestrator.sandbox.winnative", None)
    with pytest.raises(AssertionError):
        importlib.import_module("orchestrator.sandbox.winnative")

"""A double of the Windows calls: it notes each, keeps count of handles and processes, and fails on demand."""

from __future__ import annotations

from pathlib import Path

from orchestrator.sandbox.winapi import ExtendedLimits


class Windows:
    """`winapi.Api` without Windows. What would be wrong there is an AssertionError here."""

    def __init__(self, *, fail: str = "", error: OSError | None = None, jobbed: bool = False) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.open: dict[int, str] = {}
        self.running: set[int] = set()
        self.labels: dict[Path, str] = {}
        self.members: dict[int, set[int]] = {}
        self.codes: dict[int, int] = {}
        self._fail, self._error, self._jobbed = fail, error or OSError(5, "Access is denied"), jobbed
        self._next = 100
        self._resumed: set[int] = set()

    def names(self) -> list[str]:
        """The calls in their order, looks and closings left out."""
        return [
            str(call[0]) for call in self.calls if call[0] not in ("close", "ended", "active", "exit_code")
        ]

    def one(self, name: str) -> tuple[object, ...]:
        """The arguments of the only call of this name."""
        (call,) = [call for call in self.calls if call[0] == name]
        return call[1:]

    def exits(self, code: int) -> None:
        """The running program ends by itself."""
        (process,) = self.running
        self.running.discard(process)
        self.codes[process] = code

    def _note(self, name: str, *arguments: object) -> None:
        self.calls.append((name, *arguments))
        if name == self._fail:
            raise self._error

    def _new(self, kind: str) -> int:
        self._next += 4
        self.open[self._next] = kind
        return self._next

    def _is(self, handle: int | None, kind: str) -> None:
        assert self.open.get(handle or 0) == kind, f"{handle} is no open {kind}: {self.open}"

    def low_token(self) -> int:
        self._note("low_token")
        return self._new("token")

    def label(self, path: Path, label: str) -> None:
        self._note("label", path, label)
        self.labels[path] = label

    def hold(self, path: Path) -> int:
        self._note("hold", path)
        return self._new("hold")

    def in_job(self) -> bool:
        self._note("in_job")
        return self._jobbed

    def create_job(self, limits: ExtendedLimits, ui: int) -> int:
        self._note("create_job", limits, ui)
        job = self._new("job")
        self.members[job] = set()
        return job

    def null(self) -> int:
        self._note("null")
        return self._new("std")

    def inheritable(self, descriptor: int) -> int:
        self._note("inheritable", descriptor)
        return self._new("std")

    def create_process(
        self, token: int | None, program: str, line: str, environment: str, folder: str, std: tuple[int, int]
    ) -> tuple[int, int, int]:
        if token is not None:
            self._is(token, "token")
        for handle in std:
            self._is(handle, "std")
        self._note("create_process", token, program, line, environment, folder, std)
        process = self._new("process")
        self.running.add(process)
        return process, self._new("thread"), 4242

    def assign(self, job: int, process: int) -> None:
        self._is(job, "job")
        self._is(process, "process")
        assert process not in self._resumed, "it ran before it was held"
        self._note("assign", job, process)
        self.members[job].add(process)

    def resume(self, thread: int) -> None:
        self._is(thread, "thread")
        self._note("resume", thread)
        self._resumed |= self.running
        assert all(any(p in held for held in self.members.values()) for p in self.running), "it runs unheld"

    def ended(self, process: int, seconds: float | None) -> bool:
        self._is(process, "process")
        self._note("ended", process, seconds)
        return process not in self.running

    def exit_code(self, process: int) -> int:
        self._is(process, "process")
        self._note("exit_code", process)
        return self.codes[process]

    def terminate(self, process: int) -> None:
        self._is(process, "process")
        self._note("terminate", process)
        self._kill(process)

    def terminate_job(self, job: int) -> None:
        self._is(job, "job")
        self._note("terminate_job", job)
        for process in self.members[job]:
            self._kill(process)

    def active(self, job: int) -> int:
        self._is(job, "job")
        self._note("active", job)
        return len(self.members[job] & self.running)

    def close(self, handle: int) -> None:
        self._note("close", handle)
        kind = self.open.pop(handle, None)
        assert kind is not None, f"{handle} was closed twice, or never opened"
        if kind == "job":  # KILL_ON_JOB_CLOSE
            for process in self.members[handle]:
                self._kill(process)

    def _kill(self, process: int) -> None:
        if process in self.running:
            self.running.discard(process)
            self.codes[process] = 1

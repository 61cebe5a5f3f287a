"""Windows' backend, as far as another system can tell: what is handed to the system, byte for byte, and the
order of the calls, against a double that notes them (`windows_double.py`).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from windows_double import Windows

from orchestrator.sandbox import scratch, winapi, windows
from orchestrator.sandbox.backend import Backend, Unusable
from orchestrator.sandbox.box import Box, Limits
from orchestrator.sandbox.windows import Held, Job, Process, command_line, environment_block, find, labels

ENV = {"PATH": r"C:\tools;C:\Windows\System32", "SYSTEMROOT": r"C:\Windows"}
STEPS = ("label", "hold", "in_job", "create_job", "null", "inheritable", "create_process", "assign", "resume")

wide = pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the figures are those of 64 bits")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A worktree with a `.git`, and the program to start."""
    worktree = tmp_path / "wt"
    (worktree / "src").mkdir(parents=True)
    (worktree / ".git").write_text("gitdir: elsewhere\n")
    (worktree / "src" / "a.py").write_text("a")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(windows, "find", lambda *_: r"C:\tools\python.exe")
    return Box(worktree, env=ENV, limits=Limits(memory=123 * 1024 * 1024, processes=33))


def start(api: Windows, box: Box) -> Held:
    return Job(api).start(["python", "-V"], box, 1)


# Layouts: sizes and offsets as the headers of the Windows SDK give them for 64 bits


@wide
@pytest.mark.parametrize(
    ("structure", "size", "offsets"),
    [
        (
            winapi.BasicLimits,
            64,
            {"LimitFlags": 16, "MinimumWorkingSetSize": 24, "ActiveProcessLimit": 40, "Affinity": 48},
        ),
        (winapi.IoCounters, 48, {"ReadOperationCount": 0, "WriteOperationCount": 8, "ReadTransferCount": 24}),
        (
            winapi.ExtendedLimits,
            144,
            {"IoInfo": 64, "ProcessMemoryLimit": 112, "JobMemoryLimit": 120, "PeakJobMemoryUsed": 136},
        ),
        (winapi.Accounting, 48, {"TotalPageFaultCount": 32, "ActiveProcesses": 40}),
        (
            winapi.StartupInfo,
            104,
            {"lpDesktop": 16, "dwX": 32, "dwFlags": 60, "cbReserved2": 66, "hStdInput": 80},
        ),
        (winapi.StartupInfoEx, 112, {"lpAttributeList": 104}),
        (winapi.ProcessInformation, 24, {"hThread": 8, "dwProcessId": 16, "dwThreadId": 20}),
        (winapi.MandatoryLabel, 16, {"Attributes": 8}),
    ],
)  # fmt: skip
def test_structures_have_windows_own_layout(
    structure: type[ctypes.Structure], size: int, offsets: dict[str, int]
) -> None:
    assert ctypes.sizeof(structure) == size
    assert {name: getattr(structure, name).offset for name in offsets} == offsets


def test_a_job_bounds_memory_and_processes_and_nobody_leaves_it() -> None:
    limits = winapi.job_limits(5_000_000_000, 512)
    assert limits.BasicLimitInformation.LimitFlags == 0x8 | 0x100 | 0x200 | 0x400 | 0x2000
    assert not limits.BasicLimitInformation.LimitFlags & (0x800 | 0x1000), "no breaking away"
    assert limits.BasicLimitInformation.ActiveProcessLimit == 512
    assert limits.ProcessMemoryLimit == limits.JobMemoryLimit == 5_000_000_000


def test_a_process_is_born_suspended_without_a_window_and_never_breaks_away() -> None:
    assert winapi.CREATION & 0x4, "CREATE_SUSPENDED"
    assert winapi.CREATION & 0x80000, "EXTENDED_STARTUPINFO_PRESENT"
    assert winapi.CREATION & 0x08000000, "CREATE_NO_WINDOW: a console of its own, not the user's"
    assert not winapi.CREATION & 0x01000000, "CREATE_BREAKAWAY_FROM_JOB"
    assert winapi.UI_ALL == 0xFF


# The order of the calls


def test_a_command_is_held_before_it_runs(box: Box) -> None:
    api = Windows()
    held = start(api, box)
    order = [name for name in api.names() if name != "label"]
    assert order[-7:] == ["in_job", "create_job", "null", "inheritable", "create_process", "assign", "resume"]
    token, program, line, block, folder, _ = api.one("create_process")
    assert token is not None
    assert (program, line, folder) == (r"C:\tools\python.exe", "python -V", str(box.worktree))
    limits, ui = api.one("create_job")
    assert isinstance(limits, winapi.ExtendedLimits)
    assert (limits.JobMemoryLimit, ui) == (123 * 1024 * 1024, winapi.UI_ALL)
    assert limits.BasicLimitInformation.ActiveProcessLimit == 33
    assert "SYSTEMROOT=C:\\Windows\0" in str(block)
    assert held.popen.pid == 4242
    held.end()


def test_only_the_worktree_and_the_private_folder_are_opened_for_writing(box: Box, tmp_path: Path) -> None:
    api = Windows()
    held = start(api, box)
    (private,) = (tmp_path / "tmp").iterdir()
    assert f"TEMP={private.resolve()}\0" in str(api.one("create_process")[3])
    assert api.labels == {
        private.resolve(): winapi.LOW_FOLDER,
        box.worktree: winapi.LOW_FOLDER,
        box.worktree / "src": winapi.LOW_FOLDER,
        box.worktree / "src" / "a.py": winapi.LOW_FILE,
        box.worktree / ".git": winapi.MEDIUM,
    }
    held.end()


def test_git_is_held_until_nothing_runs_any_more(box: Box) -> None:
    api = Windows()
    held = start(api, box)
    assert api.one("hold") == (box.worktree / ".git",)
    assert "hold" in api.open.values()
    holding = next(handle for handle, kind in api.open.items() if kind == "hold")
    held.end()
    assert api.calls.index(("close", holding)) > max(
        at for at, call in enumerate(api.calls) if call[0] == "terminate_job"
    )
    bare = Windows()
    (box.worktree / ".git").unlink()
    start(bare, box).end()
    assert "hold" not in bare.names()


def test_links_and_files_with_further_names_are_passed_over(tmp_path: Path) -> None:
    worktree, outside = tmp_path / "wt", tmp_path / "outside"
    worktree.mkdir()
    (outside / "deep").mkdir(parents=True)
    (outside / "secret").write_text("s")
    (worktree / "plain").write_text("p")
    os.link(outside / "secret", worktree / "twin")
    if hasattr(os, "symlink"):
        (worktree / "folder").symlink_to(outside, target_is_directory=True)
        (worktree / "file").symlink_to(outside / "secret")
    assert dict(labels(worktree)) == {worktree / "plain": winapi.LOW_FILE}


def test_a_junction_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "junction" / "deep").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    junction = (tmp_path / "junction").stat().st_ino
    monkeypatch.setattr(windows, "_leads_away", lambda facts: facts.st_ino == junction)
    assert dict(labels(tmp_path)) == {tmp_path / "real": winapi.LOW_FOLDER}
    monkeypatch.undo()

    class Facts:
        st_mode, st_file_attributes = 0o040755, 0x410  # a folder, with a reparse point

    assert windows._leads_away(Facts())  # type: ignore[arg-type]


def test_a_worktree_is_labelled_once(box: Box) -> None:
    api = Windows()
    backend = Job(api)
    backend.start(["python"], box, 1).end()
    before = len(api.calls)
    backend.start(["python"], box, 1).end()
    assert [call[1] for call in api.calls[before:] if call[0] == "label"] != []
    assert box.worktree not in [call[1] for call in api.calls[before:] if call[0] == "label"]


# The end


def test_when_it_has_ended_no_handle_is_open_and_nothing_runs(box: Box, tmp_path: Path) -> None:
    api = Windows()
    held = start(api, box)
    assert held.popen.poll() is None
    held.end()
    assert api.open == {} and api.running == set()
    assert held.popen.returncode == held.popen.poll() == held.popen.wait() == 1
    assert list((tmp_path / "tmp").iterdir()) == []
    before = len(api.calls)
    held.end()
    held.ask()
    held.popen.kill()
    assert len(api.calls) == before, "twice is once"


def test_a_command_that_ended_by_itself_keeps_its_exit_code_and_what_it_left_is_ended(box: Box) -> None:
    api = Windows()
    held = start(api, box)
    api.exits(7)
    assert held.popen.wait(1.0) == 7
    held.end()
    assert "terminate_job" in api.names()
    assert held.popen.returncode == 7 and api.open == {}


def test_being_asked_ends_it(box: Box) -> None:
    api = Windows()
    held = start(api, box)
    held.ask()
    assert held.popen.poll() == 1
    held.end()
    assert api.open == {}


def test_waiting_for_a_command_at_work_says_so(box: Box) -> None:
    api = Windows()
    held = start(api, box)
    with pytest.raises(subprocess.TimeoutExpired):
        held.popen.wait(0.0)
    held.popen.kill()
    assert held.popen.wait() == 1
    held.end()


@pytest.mark.parametrize("call", ["terminate_job", "active", "ended", "exit_code"])
def test_an_end_that_windows_disturbs_still_closes_everything(box: Box, tmp_path: Path, call: str) -> None:
    api = Windows()
    held = start(api, box)
    api._fail = call
    held.end()
    assert api.open == {} and api.running == set(), "the job's last handle ends what is left"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert held.popen.returncode is not None


@pytest.mark.parametrize("step", STEPS)
def test_whatever_step_fails_nothing_is_left_open_or_running(box: Box, tmp_path: Path, step: str) -> None:
    api = Windows()
    backend = Job(api)
    assert backend.obstacle() is None
    api._fail = step
    with pytest.raises(Unusable):
        backend.start(["python"], box, 1)
    assert step in api.names()
    assert api.open == {} and api.running == set()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupt_between_two_steps_leaves_nothing_either(box: Box) -> None:
    for step in ("assign", "resume"):
        api = Windows(fail=step)
        api._error = KeyboardInterrupt()  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            start(api, box)
        assert api.open == {} and api.running == set()


def test_a_program_that_is_not_there_is_the_commands_fault_not_the_sandboxs(box: Box) -> None:
    api = Windows(fail="create_process", error=FileNotFoundError(2, "The system cannot find the file"))
    with pytest.raises(FileNotFoundError):
        start(api, box)
    assert api.open == {}


# What it is, and what it is not


def test_without_a_low_token_it_is_a_job_alone_and_says_so(box: Box) -> None:
    api = Windows(fail="low_token")
    backend = Job(api)
    assert backend.obstacle() is None
    assert any("writes wherever you can write" in line for line in backend.weaker)
    backend.start(["python"], box, 1).end()
    assert api.one("create_process")[0] is None
    assert api.labels == {} and api.open == {}
    assert not any("writes wherever you can" in line for line in Job(Windows()).weaker)


def test_a_token_that_is_lost_later_is_no_reason_to_run_without_one(box: Box) -> None:
    api = Windows()
    backend = Job(api)
    assert backend.obstacle() is None
    api._fail = "low_token"
    with pytest.raises(Unusable):
        backend.start(["python"], box, 1)
    assert "create_process" not in api.names()


def test_within_another_job_it_does_without_what_windows_refuses_there_and_says_so(box: Box) -> None:
    api = Windows(jobbed=True)
    backend = Job(api)
    backend.start(["python"], box, 1).end()
    assert api.one("create_job")[1] == 0
    assert any("inside a job" in line for line in backend.weaker)


def test_what_it_cannot_stop_is_said() -> None:
    backend: Backend = Job(Windows())
    assert backend.obstacle() is None
    said = " ".join(backend.weaker)
    for word in ("reads whatever", "network", "AppData", "not bounded"):
        assert word in said


@pytest.mark.skipif(sys.platform == "win32", reason="it is there")
def test_elsewhere_it_says_where_it_belongs_and_loads_nothing() -> None:
    assert "part of Windows" in (Job().obstacle() or "")
    with pytest.raises(Unusable):
        Job().start(["python"], Box(Path("/tmp")), 1)
    code = "import sys, orchestrator.sandbox.windows; print('orchestrator.sandbox.winnative' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) == b"False\n"


# Texts that are handed over


def split(line: str) -> list[str]:
    """How a program's runtime reads its command line, by Microsoft's rules for parameters after the first."""
    words, word, quoted, begun, at = [], "", False, False, 0
    while at < len(line):
        slashes = len(line[at:]) - len(line[at:].lstrip("\\"))
        at += slashes
        if at < len(line) and line[at] == '"':
            word += "\\" * (slashes // 2)
            begun = True
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
            at += 1
            continue
        word += "\\" * slashes
        begun = begun or slashes > 0
        if at < len(line):
            if line[at] in " \t" and not quoted:
                if begun:
                    words.append(word)
                word, begun = "", False
            else:
                word += line[at]
                begun = True
            at += 1
    return [*words, word] if begun else words


@given(st.lists(st.text(st.sampled_from("a \t\"\\'%^&|<>\n"), max_size=8), min_size=1, max_size=4))
def test_a_program_gets_the_arguments_that_were_meant(arguments: list[str]) -> None:
    assert split(command_line(["program", *arguments])) == ["program", *arguments]


def test_a_shell_line_reaches_cmd_as_it_was_written() -> None:
    line = 'echo "a b" & type "c d" > "e"'
    assert (
        command_line([r"C:\Windows\cmd.exe", "/d", "/s", "/c", line])
        == rf'C:\Windows\cmd.exe /d /s /c "{line}"'
    )
    assert command_line(["cmd", "/c"]) == "cmd /c"


def test_a_nul_is_refused_everywhere() -> None:
    with pytest.raises(ValueError, match="null"):
        command_line(["a", "b\0c"])
    for env in ({"A": "b\0c"}, {"A\0": "b"}, {"": "b"}, {"A=B": "c"}):
        with pytest.raises(ValueError, match="not a variable"):
            environment_block(env)


NAMES = st.text(st.characters(exclude_characters="=\0", exclude_categories=("Cs",)), min_size=1, max_size=6)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=6)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_the_environment_is_handed_over_whole_sorted_and_ended(env: dict[str, str]) -> None:
    block = environment_block(env)
    assert block.endswith("\0\0") and "\0\0" not in block[:-2]
    entries = block[:-2].split("\0") if env else []
    names = [entry.partition("=")[0].upper() for entry in entries]
    assert names == sorted(set(names)) == sorted({name.upper() for name in env})
    assert set(entries) <= {f"{name}={value}" for name, value in env.items()}
    written = ctypes.create_unicode_buffer(block, len(block) + 1)
    assert "".join(written)[: len(block)] == block, "not cut off at the first NUL"


def there(*paths: str):  # type: ignore[no-untyped-def]
    known = {path.lower() for path in paths}
    return lambda path: path.lower() in known


def test_a_program_is_looked_for_on_the_path_in_its_order_and_never_in_the_current_folder() -> None:
    worktree = Path("wt")
    files = there(r"C:\tools\git.exe", r"C:\Windows\System32\git.exe", "git.exe", r"wt\git.exe")
    assert find("git", ENV, worktree, files).lower() == r"c:\tools\git.exe"
    assert find("git.exe", ENV, worktree, files).lower() == r"c:\tools\git.exe"
    for path in ("", ".", "relative;;.", "git"):
        with pytest.raises(FileNotFoundError, match="git"):
            find("git", {"PATH": path}, worktree, files)
    assert find("git", {"PATH": r'"C:\tools"'}, worktree, files).lower() == r"c:\tools\git.exe"


def test_endings_are_tried_in_the_systems_order_and_only_what_can_run_is_found() -> None:
    files = there(r"C:\tools\npm", r"C:\tools\npm.cmd", r"C:\tools\x.py", r"C:\tools\x.py.exe")
    assert find("npm", ENV, Path("wt"), files).lower() == r"c:\tools\npm.cmd"
    assert find("x.py", ENV, Path("wt"), files).lower() == r"c:\tools\x.py.exe"
    custom = {**ENV, "PATHEXT": ".PY"}
    assert find("x", custom, Path("wt"), files).lower() == r"c:\tools\x.py"


def test_a_path_is_taken_from_the_worktree() -> None:
    files = there(r"wt\build\run.exe", r"C:\a\b.exe")
    assert find(r"build\run", ENV, Path("wt"), files).lower() == r"wt\build\run.exe"
    assert find(r"C:\a\b.exe", ENV, Path("wt"), files) == r"C:\a\b.exe"
    with pytest.raises(FileNotFoundError):
        find(r"build\none", ENV, Path("wt"), files)


def test_a_process_serves_where_popen_does() -> None:
    api = Windows()
    process, _, pid = api.create_process(None, "p", "p", "\0\0", ".", (api.null(), api.null()))
    popen = Process(api, process, pid, ["p"])
    assert (popen.pid, popen.poll(), popen.returncode) == (4242, None, None)
    api.exits(0)
    assert popen.poll() == 0

"""What commands may use: only a person's own settings grant, a project takes away, a repository cannot say.

The attacks here plant what a merged change could bring into a checkout: links, environments that name another
interpreter, programs with the names of the sandbox's own tools.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator import config
from orchestrator.process import environment
from orchestrator.sandbox import bubblewrap, system, toolchains
from orchestrator.sandbox.box import MIB, Box, Limits
from orchestrator.sandbox.policy import Narrowing, Policy, merge
from orchestrator.sandbox.system import system_tool
from orchestrator.sandbox.toolchains import TooWide
from orchestrator.user import LimitSettings, SandboxSettings, shipped
from state.workspace import Workspace
from tickets.problems import TicketError

NOTHING = SandboxSettings()
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's backends")
posix = pytest.mark.skipif(sys.platform == "win32", reason="links need no rights there")


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home with secrets, and nothing of this machine's."""
    home = tmp_path.resolve() / "home"
    for secret in (".ssh", ".aws", ".config/jetbox", ".local/share/jetbox"):
        (home / secret).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
    return home


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The repository's own folder."""
    folder = tmp_path.resolve() / "project"
    (folder / ".jetbox").mkdir(parents=True)
    return folder


def policy(user: SandboxSettings = NOTHING, project: Narrowing | None = None) -> Policy:
    return merge(shipped(), user, project or Narrowing())


def read(root: Path, which: Policy | None = None) -> set[str]:
    found = toolchains.readable(which or policy(), root, root / ".jetbox")
    return {str(each) for each in found}


def granted(root: Path) -> set[str]:
    """What is readable because of this repository, beside what always is."""
    return read(root) - read(root.parent)


def interpreter(prefix: Path) -> Path:
    """A folder that looks like a Python installation."""
    (prefix / "lib" / "python3.11").mkdir(parents=True)
    (prefix / "lib" / "python3.11" / "os.py").touch()
    (prefix / "bin").mkdir()
    return prefix


def names(environment: Path, home: str) -> None:
    environment.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.11.7\n")


# Who grants ------------------------------------------------------------------------------------------

bounds = st.builds(
    LimitSettings,
    **{
        name: st.none() | st.integers(MIB, 1 << 44)
        for name in ("memory", "file", "growth", "scratch", "processes", "entries")
    },
)


@given(user=bounds, project=bounds)
def test_a_project_can_only_narrow_limits_whatever_it_says(
    user: LimitSettings, project: LimitSettings
) -> None:
    own = merge(NOTHING, SandboxSettings(limits=user), Narrowing()).limits
    both = merge(NOTHING, SandboxSettings(limits=user), Narrowing(limits=project)).limits
    for each in fields(Limits):
        asked = getattr(project, each.name)
        assert getattr(both, each.name) == min(getattr(own, each.name), asked or getattr(own, each.name))


@given(hide=st.lists(st.sampled_from(["~/.rustup", ".venv", "~/mine", "~", "/", "sh", "*", "~/.ssh"])))
def test_a_project_can_only_take_folders_away(hide: list[str]) -> None:
    mine = SandboxSettings(readable=("~/mine",))
    before, after = merge(shipped(), mine, Narrowing()), merge(shipped(), mine, Narrowing(hide=tuple(hide)))
    assert set(after.readable) == set(before.readable) - set(hide)
    assert set(after.beside) == set(before.beside) - set(hide)
    assert (after.environment, after.programs, after.limits) == (
        before.environment,
        before.programs,
        before.limits,
    )


@pytest.mark.parametrize(
    "wish",
    ["readable", "beside", "environment", "programs", "network", "backend", "git", "isolation", "consent"],
)
def test_a_project_that_wishes_for_more_does_not_load(root: Path, person: Path, wish: str) -> None:
    (root / "jetbox.yaml").write_text(f"sandbox:\n  {wish}: [/]\n")
    with pytest.raises(TicketError, match=wish):
        config.load(Workspace(root))
    with pytest.raises(ValidationError):
        Narrowing.model_validate({wish: ("/",)})


def test_a_persons_own_settings_grant_folders_programs_variables_and_limits(root: Path, person: Path) -> None:
    (person / "tools").mkdir()
    (person / ".config" / "jetbox" / "config.yaml").write_text(
        "sandbox:\n  readable: [~/tools]\n  environment: [MY_SETTING]\n  programs: [mine]\n"
        "  limits: {memory: 8589934592, processes: 1024}\n"
    )
    (root / "jetbox.yaml").write_text("sandbox:\n  limits: {memory: 68719476736, processes: 64}\n")
    found = config.load(Workspace(root)).policy
    assert str(person / "tools") in read(root, found)
    assert "MY_SETTING" in found.environment and "mine" in found.programs
    assert (found.limits.memory, found.limits.processes) == (8 << 30, 64)


def test_the_digest_changes_with_everything_that_a_policy_says() -> None:
    others = [
        policy(SandboxSettings(readable=("/x",))), policy(SandboxSettings(beside=("env",))),
        policy(SandboxSettings(environment=("X",))), policy(SandboxSettings(programs=("nmap",))),
        *(
            policy(SandboxSettings(limits=LimitSettings(**{each.name: 64 * MIB})))
            for each in fields(Limits)
        ),
    ]  # fmt: skip
    assert len({each.digest for each in (policy(), *others)}) == len(others) + 1
    assert policy().digest == policy().digest


# Secrets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wide", ["/", "~", "~/..", "~/.ssh", "~/.ssh/keys", "~/.config", "~/.local/share/jetbox"]
)
def test_a_folder_with_secrets_is_refused_whoever_grants_it(root: Path, person: Path, wide: str) -> None:
    (person / ".ssh" / "keys").mkdir()
    (person / ".config" / "jetbox" / "config.yaml").write_text(f"sandbox:\n  readable: ['{wide}']\n")
    with pytest.raises(TooWide, match=r"lies in it"):
        read(root, policy(SandboxSettings(readable=(wide,))))
    with pytest.raises(TicketError, match=r"sandbox\.readable"):
        config.load(Workspace(root))


@posix
def test_a_link_to_a_folder_with_secrets_is_refused_too(root: Path, person: Path) -> None:
    (person / "innocent").symlink_to(person)
    with pytest.raises(TooWide):
        read(root, policy(SandboxSettings(readable=("~/innocent",))))


def test_the_journal_can_never_be_granted(root: Path, person: Path) -> None:
    for wide in (root, root / ".jetbox", root.parent):
        with pytest.raises(TooWide):
            read(root, policy(SandboxSettings(readable=(str(wide),))))


def test_what_is_shipped_shows_no_secret(root: Path, person: Path) -> None:
    for name in shipped().readable:
        Path(name).expanduser().mkdir(parents=True, exist_ok=True)
    found = read(root)
    assert len(found) > len(shipped().readable)


def test_a_command_gets_no_variable_that_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = {
        "OPENAI_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "DISPLAY", "LD_PRELOAD",
        "DBUS_SESSION_BUS_ADDRESS", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "GIT_SSH_COMMAND",
        "HTTP_PROXY", "XDG_RUNTIME_DIR", "DOCKER_HOST", "KUBECONFIG", "NODE_OPTIONS", "JETBOX_ACTION",
    }  # fmt: skip
    for name in planted:
        monkeypatch.setenv(name, "planted")
    found = environment(policy().environment)
    assert "planted" not in found.values()
    own = {"PATH", "GIT_TERMINAL_PROMPT", "GIT_OPTIONAL_LOCKS", "PYTHONUNBUFFERED"}
    windows = {"APPDATA", "LOCALAPPDATA", "USERNAME", "TEMP", "TMP"}
    assert set(found) <= {*own, *policy().environment, *windows} or sys.platform == "win32"


def test_no_variable_that_is_shipped_could_hold_a_token() -> None:
    words = ("TOKEN", "KEY", "SECRET", "PASS", "AUTH", "CRED", "SOCK", "PROXY")
    assert not [name for name in shipped().environment if any(word in name.upper() for word in words)]


# A hostile repository --------------------------------------------------------------------------------


def test_an_environment_beside_is_readable_with_the_interpreter_that_it_names(
    root: Path, person: Path
) -> None:
    python = interpreter(person / "pythons" / "3.11")
    names(root / ".venv", str(python / "bin"))
    assert granted(root) == {str(root / ".venv"), str(python / "bin"), str(python / "lib")}


@posix
def test_a_link_in_the_place_of_an_environment_grants_nothing(root: Path, person: Path) -> None:
    for name in shipped().beside:
        (root / name).symlink_to(person / ".ssh")
    assert granted(root) == set()


@posix
def test_a_made_up_interpreter_in_the_repository_grants_nothing(root: Path, person: Path) -> None:
    python = interpreter(root / "evil")
    (python / "bin").rmdir()
    (python / "bin").symlink_to(person / ".ssh")
    names(root / ".venv", str(python / "bin"))
    assert granted(root) == {str(root / ".venv")}


@posix
def test_no_way_of_writing_its_place_makes_a_made_up_interpreter_count(root: Path, person: Path) -> None:
    python = interpreter(root / "evil")
    (python / "bin").rmdir()
    (python / "bin").symlink_to(person)
    interpreter(person)  # so that only the way there is wrong
    (root / "door").symlink_to(person)
    (root.parent / "alias").symlink_to(root)
    for home in (
        root / "evil" / "bin",
        root / "x" / ".." / "evil" / "bin",
        root.parent / "alias" / "evil" / "bin",
        root / "door" / "bin",
        person / ".." / "project" / "evil" / "bin",
        Path("evil/bin"),
        Path("/"),
        Path("//"),
        person / ".ssh" / "bin",
    ):
        (root / ".venv" / "pyvenv.cfg").unlink(missing_ok=True)
        if (root / ".venv").exists():
            (root / ".venv").rmdir()
        names(root / ".venv", str(home))
        assert granted(root) == {str(root / ".venv")}, home


@pytest.mark.parametrize(
    "content", [b"", b"home", b"home =", b"home = \x00/bin", b"\xff\xfe", b"home = a\n" * 9999]
)
def test_a_broken_environment_grants_nothing_and_breaks_nothing(
    root: Path, person: Path, content: bytes
) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "pyvenv.cfg").write_bytes(content)
    assert granted(root) == {str(root / ".venv")}


@posix
def test_an_editable_install_leads_into_the_worktree_and_nowhere_else(root: Path, person: Path) -> None:
    worktree = root / ".jetbox" / "worktrees" / "T-1" / "1"
    (worktree / "src").mkdir(parents=True)
    packages = root / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "a.pth").write_text(f"{root}/src\n{root}/gone\n{person}\n/etc\n{root}/../home\nimport os\n\n")
    (packages / "b.pth").write_bytes(b"\xff\xfe\x00")
    assert toolchains.project_path(root / ".venv", root, worktree) == [str(worktree / "src")]
    finder = packages / "__editable___flat_1_finder.py"
    finder.write_text(f"MAPPING: dict[str, str] = {{'flat': '{root}/src/flat', 'x': '{person}/x'}}\n")
    (packages / "a.pth").write_text("import __editable___flat_1_finder\n")
    assert toolchains.project_path(root / ".venv", root, worktree) == [str(worktree / "src")]


# Programs --------------------------------------------------------------------------------------------


@posix
def test_the_order_of_programs_is_worktree_repository_system_and_our_own_last(
    root: Path, person: Path
) -> None:
    worktree = root / ".jetbox" / "worktrees" / "T-1" / "1"
    for folder in (worktree / ".venv/bin", root / ".venv/bin", root / "node_modules/.bin", worktree):
        folder.mkdir(parents=True, exist_ok=True)
    found = toolchains.search_path(policy(), root, worktree, "/first:relative::/second:/first").split(":")
    own = str(Path(sys.executable).parent)
    beside = [f"{root}/.venv/bin", f"{root}/node_modules/.bin"]
    assert found == [f"{worktree}/.venv/bin", *beside, "/first", "/second", own]


@posix
def test_a_version_managers_shims_stand_for_the_version_that_is_chosen(root: Path, person: Path) -> None:
    manager = person / ".pyenv"
    (manager / "shims").mkdir(parents=True)
    (manager / "version").write_text("3.11.7\n../../.ssh\n")
    (person / "link").symlink_to(manager)
    found = toolchains.search_path(policy(), root, root, f"{manager}/shims:{person}/link").split(":")
    assert found[:4] == [f"{manager}/shims", f"{manager}/versions/3.11.7/bin", f"{person}/link", str(manager)]


def test_tools_are_told_of_folders_that_are_granted_and_no_others(person: Path) -> None:
    before = toolchains.variables(policy())
    assert not [value for value in before.values() if str(person) in value]
    (person / ".rustup").mkdir()
    found = toolchains.variables(policy())
    assert found == {**before, "RUSTUP_HOME": os.path.expanduser("~/.rustup")}  # noqa: PTH111
    assert toolchains.variables(policy(project=Narrowing(hide=("~/.rustup",)))) == before


@linux
def test_the_sandboxes_own_tools_are_never_taken_from_a_project(
    root: Path, person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the planted ones first on every PATH, what runs outside is the system's."""
    worktree = root / ".jetbox" / "worktrees" / "T-1" / "1"
    (worktree / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin").mkdir(parents=True)
    for folder in (worktree / ".venv/bin", root / ".venv/bin"):
        for tool in ("bwrap", "setpriv", "prlimit", "sh", "ssh-keygen", "git"):
            (folder / tool).write_text(f"#!/bin/sh\necho taken >>{root}/taken\n")
            (folder / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{worktree}/.venv/bin:{root}/.venv/bin:{os.environ['PATH']}")
    for tool in ("bwrap", "setpriv", "prlimit"):
        assert system_tool(tool) is None or not str(system_tool(tool)).startswith(str(root.parent))
    backend = bubblewrap.Bubblewrap()
    if backend.obstacle():
        pytest.skip(str(backend.obstacle()))
    path = toolchains.search_path(policy(), root, worktree, os.environ["PATH"])
    assert path.startswith(f"{worktree}/.venv/bin")
    child = backend.start(["/bin/true"], Box(worktree, env={"PATH": path}), 2)
    child.popen.wait(20)
    child.end()
    assert not (root / "taken").exists()
    subprocess.run(["setpriv"], check=False)  # the control: by its name alone the planted one is found
    assert (root / "taken").read_text() == "taken\n"


@linux
def test_a_tool_that_is_only_linked_into_the_system_is_named_as_it_is_found_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("true", path="/usr/bin:/bin")
    assert real is not None
    (tmp_path / "true").symlink_to(real)
    monkeypatch.setattr(system, "_TOOLS", str(tmp_path))
    assert system_tool("true") == os.path.realpath(real)
    assert system_tool("no such tool") is None


@linux
def test_the_filter_of_system_folders_shows_no_secret_of_the_machine() -> None:
    from orchestrator.sandbox.system import ETC, SYSTEM

    shown = [path for path in (*ETC, *SYSTEM) if path.startswith(("/etc", "/sys"))]
    hidden = (
        "shadow", "gshadow", "sudoers", "ssh", "machine-id", "hostname", "resolv.conf", "passwd", "npmrc",
        "pip.conf", "gitconfig", "environment", "ssl/private", "krb5.keytab", "pki/tls/private",
    )  # fmt: skip
    for name in hidden:
        assert not [path for path in shown if f"/etc/{name}/".startswith(f"{path}/")]
    for path in shown:  # nor a file that not everyone may read anyhow
        each = Path(path)
        if each.is_file():
            assert each.stat().st_mode & stat.S_IROTH


@linux
def test_a_folder_that_is_hidden_can_be_neither_seen_nor_filled(tmp_path: Path) -> None:
    backend = bubblewrap.Bubblewrap()
    if why := backend.obstacle():
        pytest.skip(why)
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    command = "ls -A /usr/share; echo full > /usr/share/x && echo filled; echo ok"
    with (tmp_path / "said").open("wb") as output:
        box = Box(worktree, hidden=(Path("/usr/share"),), env={"PATH": "/usr/bin:/bin"})
        child = backend.start(["/bin/sh", "-c", command], box, output.fileno())
        child.popen.wait(20)
        child.end()
    said = (tmp_path / "said").read_text()
    assert said.splitlines()[-1] == "ok", said
    assert "filled" not in said

"""What the doctor looks at. Each look is short, changes nothing, and ends in one finding with its cure."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from orchestrator.cli.models import Finding
from orchestrator.workspaces import NoWorkspace, find
from state.errors import JournalError, JournalMissing
from state.journal import Journal
from state.lock import held, holder
from state.workspace import Workspace
from tickets.problems import TicketError

_ROOM = 1 << 30  # bytes; a data set and a few worktrees fit
_LITTLE = 64 << 20  # bytes; below, the engine pauses soon

State = Literal["ok", "note", "problem"]


def examine(start: Path) -> list[Finding]:
    """Every finding, the machine's first, then the workspace's."""
    found = [_python(), _git(), *_sandboxes(start), _gpu(), *_models(start), *_approvals(), *_voice()]
    try:
        workspace = find(start)
    except NoWorkspace as error:
        return [*found, _finding("workspace", "problem", error, "run it in a repository, or `jetbox demo`")]
    looks: tuple[Callable[[Workspace], Finding], ...] = (
        _repository, _settings, _disk, _journal, _core, _engine, _worktrees,
    )  # fmt: skip
    return [*found, *(look(workspace) for look in looks)]


def _finding(name: str, state: State, said: object, cure: str = "") -> Finding:
    return Finding(name=name, state=state, said=str(said), cure=cure)


def _python() -> Finding:
    return _finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _git() -> Finding:
    from orchestrator.gitcall import GitError, git_binary

    try:
        path = git_binary()
    except GitError as error:
        said, _, cure = str(error).partition(": ")
        return _finding("git", "problem", said, cure or "install a newer one (https://git-scm.com)")
    done = subprocess.run([path, "version"], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    version = done.stdout.decode(errors="replace").strip().removeprefix("git version ")
    return _finding("git", "ok", f"{version} at {path}")


def _sandboxes(start: Path) -> list[Finding]:
    """What holds commands here, found out by trying to break out, and what would hold them better."""
    from orchestrator import config
    from orchestrator.sandbox.choose import ATTEMPTS, choose

    try:
        workspace = find(start)
    except NoWorkspace:
        workspace = Workspace(start.resolve())
    try:
        policy = config.load(workspace).policy
    except TicketError as error:
        return [_finding("sandbox", "problem", error, "mend that file")]
    choice = choose(workspace, policy)
    found = []
    for each in choice.tried[:-1] if choice.tried and choice.tried[-1].holds else choice.tried:
        found.append(_finding("sandbox", "note", f"{each.backend}: {each.why}", _cure(each.backend)))
    if choice.sandbox.isolation == "none":
        cure = "install bubblewrap, or say `jetbox consent` to run commands as you"
        return [*found, _finding("sandbox", "problem", "none holds: no command runs", cure)]
    tried = ", ".join(ATTEMPTS[each] for each in choice.tried[-1].held)
    said = f"{choice.sandbox.isolation}; it kept in every attempt to {tried}"
    weaker = choice.sandbox.backend.weaker
    found.append(_finding("sandbox", "ok", said))
    if weaker:
        found.append(
            _finding("sandbox", "note", f"{choice.sandbox.isolation} cannot stop: {'; '.join(weaker)}")
        )
    return found


def _cure(backend: str) -> str:
    return "`apt-get install bubblewrap` (or your system's way)" if backend == "bubblewrap" else ""


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    return (
        _finding("gpu", "ok", f"NVIDIA's tools are here ({tool})")
        if tool
        else _finding("gpu", "note", "no GPU")
    )


def _models(start: Path) -> list[Finding]:
    """Who serves each role, and what would have to be done; nothing is fetched or loaded by looking."""
    import os

    from orchestrator import user
    from orchestrator.models import catalogue
    from orchestrator.models.report import findings
    from orchestrator.models.service import Models
    from orchestrator.reach import guard, reach

    try:
        workspace = find(start)
    except NoWorkspace:
        workspace = Workspace(start.resolve())
    try:
        own, host = user.load(), os.environ.get("OLLAMA_HOST")
        known = catalogue.load(workspace, own, host)
    except TicketError as error:
        return [_finding("models", "problem", error.problems[0], "mend that file")]
    models = Models(known)
    try:
        with guard(reach(own.servers, host).servers):
            found = findings(known, models)
    finally:
        models.close()
    return [_finding(each.name, "ok" if each.ok else "note", each.said, each.cure) for each in found]


def _approvals() -> list[Finding]:
    """What seals a yes here; settings that do not load are another finding. No key is made by looking."""
    from orchestrator import seals, user
    from state.contract import SealError
    from state.home import data_home

    try:
        settings = user.load().approval
    except TicketError:
        return []
    if settings.ssh_key is None:
        return [_finding("approvals", "ok", f"level 1, sealed with {data_home() / 'approval.key'}")]
    key = Path(settings.ssh_key).expanduser()
    try:
        if not key.is_file():
            raise SealError(f"there is no {key}")
        seals.of(settings).check(b"", "")  # whether ssh-keygen and the public key can be used
    except SealError as error:
        cure = f"make that key with ssh-keygen, or take `approval.ssh_key` out of {user.path()}"
        return [_finding("approvals", "problem", error, cure)]
    return [_finding("approvals", "ok", f"level 2, signed with your SSH key {key}")]


def _voice() -> list[Finding]:
    """Only where a person has turned it on; settings that do not load are another finding."""
    from orchestrator import user
    from orchestrator.alerts.voice import speakers
    from tickets.problems import TicketError

    try:
        settings = user.load().alerts
    except TicketError:
        return []
    if not settings.voice:
        return []
    if found := speakers(settings.language):
        return [_finding("voice", "ok", f"{found[0].name} at {found[0].argv[0]}")]
    cure = f"install espeak-ng, or turn `alerts.voice` off in {user.path()}"
    return [_finding("voice", "note", "you have turned it on, and there is none on this machine", cure)]


def _repository(workspace: Workspace) -> Finding:
    from orchestrator.cli.repository import branch, changed_files

    try:
        on, changed = branch(workspace), changed_files(workspace)
    except Exception as error:  # whatever GitPython raises, the doctor goes on
        return _finding("repository", "problem", f"{workspace.root}: {error}", "`git status` there says more")
    where = f"{workspace.root}, {f'on {on}' if on else 'no branch checked out'}"
    if on is None:
        return _finding("repository", "note", where, "name the branch to land on as `base` in jetbox.yaml")
    noun = "file differs" if changed == 1 else "files differ"
    more = f", {changed} {noun} from the commit: landing leaves them alone" if changed else ""
    return _finding("repository", "ok", where + more)


def _settings(workspace: Workspace) -> Finding:
    from orchestrator import config
    from tickets.problems import TicketError

    try:
        settings = config.load(workspace).settings
    except TicketError as error:
        return _finding("settings", "problem", error.problems[0], "`jetbox check` lists every fault")
    base = settings.base or "the branch that is checked out"
    return _finding("settings", "ok", f"lands on {base}, {settings.parallel} tickets at once")


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.root).free
    said = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE:
        return _finding("disk", "problem", said, "free some space: the engine pauses without")
    return _finding("disk", "ok" if free >= _ROOM else "note", said)


def _journal(workspace: Workspace) -> Finding:
    try:
        journal = Journal.read(workspace.journal)
    except JournalMissing:
        return _finding("journal", "note", "none yet: the first run makes it")
    except JournalError as error:  # its line says what to do
        return _finding("journal", "problem", error)
    try:
        count, fault = journal.head()[0], journal.fault()
    finally:
        journal.close()
    if fault:
        return _finding("journal", "problem", fault, "`jetbox verify --copy FILE` saves the sound part")
    return _finding("journal", "ok", f"sound, {count} events")


def _core(workspace: Workspace) -> Finding:
    from orchestrator import seals
    from state.core import verified

    try:
        journal = Journal.read(workspace.journal)
    except JournalError:  # another finding
        return _finding("core", "note", "none yet: `jetbox core adopt NAME=RUN` makes the first version")
    try:
        found = verified(journal, workspace, seals.yours())
    except (JournalError, TicketError) as error:
        return _finding("core", "problem", error, "`jetbox core verify` says more")
    finally:
        journal.close()
    if not found.standing.settings:
        return _finding("core", "note", "none yet: `jetbox core adopt NAME=RUN` makes the first version")
    if found.version is None or found.passed:
        said = found.why or f"{found.passed[0][0][:12]} is not used: {found.passed[0][1]}"
        cure = "`jetbox core revert DIGEST` goes back to a sound one, `jetbox core adopt` makes one anew"
        return _finding("core", "problem", said, cure)
    parts = ", ".join(sorted(found.version.parts))
    forged = sum(1 for each in found.standing.settings if each.refused)
    more = f"; {forged} words in the journal count for nothing: `jetbox core` tells which" if forged else ""
    return _finding("core", "note" if forged else "ok", f"{found.version.digest[:12]}, sound: {parts}{more}")


def _engine(workspace: Workspace) -> Finding:
    if pid := holder(workspace.lock):
        return _finding("engine", "ok", f"works (process {pid})")
    if held(workspace.lock):
        return _finding(
            "engine",
            "note",
            "gone, but a git process of its still runs",
            "wait a moment: the next one does too",
        )
    return _finding("engine", "ok", "off: `jetbox` or `jetbox run` starts it")


def _worktrees(workspace: Workspace) -> Finding:
    folders = sorted(path.name for path in workspace.worktrees.glob("*") if path.is_dir())
    live: set[str] = set()
    try:
        journal = Journal.read(workspace.journal)
    except JournalError:
        return _finding("worktrees", "ok", f"{len(folders)}")
    try:
        live = {f"{card.id}-{card.attempt}" for card in journal.views.live()}
    finally:
        journal.close()
    left = [name for name in folders if name.removesuffix("-gate") not in live]
    if left:
        cure = f"look into {workspace.worktrees}, then `git worktree remove` what you do not need"
        return _finding("worktrees", "note", f"{len(left)} of no open attempt: {', '.join(left[:5])}", cure)
    return _finding("worktrees", "ok", f"{len(folders)}, each of an open attempt")

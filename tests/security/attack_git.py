"""Going through git: what the host's own git would run or lose. Judged by the host's git and its files."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attacked_host import Host, Ran, written

KIND = "git"
PROOF = 'RUN = "touch " + P["outside"] + "/" + TOKEN\n'


def into(place: str) -> Callable[[Host], None]:
    """A file below `.git` that the attack is after."""

    def prepare(host: Host) -> None:
        path = Path(place.format(git=host.repo / ".git", admin=host.admin))
        path.parent.mkdir(parents=True, exist_ok=True)
        host.params["target"] = str(path)

    return prepare


def ran_code(host: Host, ran: Ran) -> bool:
    """A program of the attack's ran when the host recorded the work."""
    host.within(10, host.checkpoint)
    return (host.outside / host.token).exists()


def _pointer(host: Host) -> bytes:
    path = host.worktree / ".git"
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def _remember_pointer(host: Host) -> None:
    host.planted["pointer"] = _pointer(host)


def _pointer_changed(host: Host, ran: Ran) -> bool:
    return _pointer(host) != host.planted["pointer"]


def _refs(host: Host) -> str:
    return host.git("for-each-ref", "--format=%(refname) %(objectname)")


def _remember_refs(host: Host) -> None:
    host.planted["refs"] = _refs(host)


def _refs_changed(host: Host, ran: Ran) -> bool:
    return _refs(host) != host.planted["refs"]


def _objects_lost(host: Host, ran: Ran) -> bool:
    return subprocess.run(["git", "fsck"], cwd=host.repo, capture_output=True).returncode != 0


def _settings(host: Host) -> str:
    return hashlib.sha256((host.repo / ".git/config").read_bytes()).hexdigest()


def _remember_settings(host: Host) -> None:
    host.planted["settings"] = _settings(host)


def _settings_changed(host: Host, ran: Ran) -> bool:
    return _settings(host) != host.planted["settings"]


def _exists(host: Host, ran: Ran) -> bool:
    return Path(host.params["target"]).exists()


def _more_worktrees(host: Host, ran: Ran) -> bool:
    return host.git("worktree", "list", "--porcelain").count("worktree ") > 3


def _head_moved(host: Host, ran: Ran) -> bool:
    return (host.admin / "HEAD").read_text().strip() != "ref: refs/heads/jetbox/T-1"


def plants(id_: str, tries: str, place: str, payload: str = 'put(P["target"], mode="a")') -> Attack:
    """A file in the repository's own folder carries the token."""
    return Attack(id_, KIND, tries, payload, written("target"), into(place))


ELSEWHERE = (
    PROOF
    + """
os.makedirs("evil/objects"), os.makedirs("evil/refs")
put("evil/HEAD", "ref: refs/heads/main\\n")
put("evil/config", f'[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tfsmonitor = "{RUN}"\\n')
"""
)

GIT = [
    plants("hook", "a hook in the repository", "{git}/hooks/post-checkout"),
    plants("hook-pre-commit", "a hook of the user's commits", "{git}/hooks/pre-commit"),
    plants("settings", "a program in .git/config", "{git}/config"),
    Attack(
        "settings-by-git",
        KIND,
        "the same by `git config`",
        'print(subprocess.run(["git", "config", "core.fsmonitor", TOKEN], capture_output=True))',
        _settings_changed,
        _remember_settings,
    ),
    Attack(
        "settings-replaced",
        KIND,
        "the same by a file renamed over it",
        """
put("fresh", f"[core]\\n\\tfsmonitor = {TOKEN}\\n")
attempt(os.rename, "fresh", P["git"] + "/config")
""",
        _settings_changed,
        _remember_settings,
    ),
    plants("worktree-settings", "settings of the worktree that do not exist yet", "{admin}/config.worktree"),
    plants(
        "common-worktree-settings",
        "settings of the main worktree that do not exist yet",
        "{git}/config.worktree",
    ),
    plants("attributes", "attributes of the repository that do not exist yet", "{git}/info/attributes"),
    plants("alternates", "objects taken from elsewhere", "{git}/objects/info/alternates"),
    plants("common-dir", "where the worktree's metadata says the repository is", "{admin}/commondir"),
    plants("back-pointer", "where the metadata says the worktree is", "{admin}/gitdir"),
    plants("packed-refs", "refs in a file that does not exist yet", "{git}/packed-refs"),
    plants("reflog", "the record of where a branch was", "{git}/logs/HEAD"),
    Attack(
        "pointer-rewritten",
        KIND,
        "the worktree's .git file, to lead to a repository with a program in its settings",
        ELSEWHERE + 'put(".git", "gitdir: " + str(HERE / "evil") + "\\n")',
        _pointer_changed,
        _remember_pointer,
    ),
    Attack(
        "pointer-replaced",
        KIND,
        "the same by renaming another file over it",
        ELSEWHERE
        + 'put("fresh", "gitdir: " + str(HERE / "evil") + "\\n")\nattempt(os.rename, "fresh", ".git")',
        _pointer_changed,
        _remember_pointer,
    ),
    Attack(
        "pointer-moved",
        KIND,
        "the same by moving it away and making a folder there",
        ELSEWHERE + 'attempt(os.rename, ".git", ".git-old")\nattempt(os.rename, "evil", ".git")',
        _pointer_changed,
        _remember_pointer,
    ),
    Attack(
        "pointer-runs",
        KIND,
        "a program run by the host's git after the pointer was changed in any way",
        ELSEWHERE
        + """
attempt(os.unlink, ".git")
put(".git", "gitdir: " + str(HERE / "evil") + "\\n")
attempt(os.rename, "evil", ".git")
""",
        ran_code,
    ),
    Attack(
        "filter-driver",
        KIND,
        "a filter in settings and attributes, run by the host's `git add`",
        PROOF
        + """
put(".gitattributes", "*.x filter=evil\\n")
put("a.x")
for path in (P["git"] + "/config", P["admin"] + "/config.worktree"):
    extension = "[extensions]\\n\\tworktreeConfig = true\\n"
    put(path, extension + f'[filter "evil"]\\n\\tclean = "{RUN}; cat"\\n', mode="a")
""",
        ran_code,
    ),
    Attack(
        "monitor-program",
        KIND,
        "a file monitor in the settings, run by the host's `git status`",
        PROOF + "put(P['git'] + '/config', f'[core]\\n\\tfsmonitor = \"{RUN};false\"\\n', mode='a')",
        ran_code,
    ),
    Attack(
        "nested-repository",
        KIND,
        "a repository inside the worktree with a program in its settings",
        PROOF
        + """
env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
who = ["-c", "user.name=a", "-c", "user.email=a@b"]
first = [*who, "commit", "-q", "--allow-empty", "-m", "x"]
os.makedirs("sub")
for words in (["init", "-q"], first, ["config", "core.fsmonitor", RUN + ";false"]):
    print(subprocess.run(["git", "-C", "sub", *words], env=env, capture_output=True))
""",
        lambda host, ran: ran_code(host, ran) or ran_code(host, ran),
    ),
    Attack(
        "index-lock",
        KIND,
        "a lock left on the worktree's index",
        'put(P["admin"] + "/index.lock")',
        lambda host, ran: (host.admin / "index.lock").exists(),
    ),
    Attack(
        "refs-by-git",
        KIND,
        "the user's branch moved by `git update-ref`",
        """
names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
env = {**os.environ, **{name: "a" for name in names}}
def git(*words):
    done = subprocess.run(["git", *words], capture_output=True, text=True, env=env)
    print(done)
    return done.stdout.strip()
git("commit", "-q", "--allow-empty", "-m", "evil")
git("update-ref", "refs/heads/main", git("commit-tree", "HEAD^{tree}", "-m", "evil"))
git("branch", "evil")
""",
        _refs_changed,
        _remember_refs,
    ),
    Attack(
        "refs-by-file",
        KIND,
        "the user's branch moved by its file",
        'put(P["git"] + "/refs/heads/evil", open(P["git"] + "/refs/heads/main").read())',
        _refs_changed,
        _remember_refs,
    ),
    Attack(
        "head-moved",
        KIND,
        "the worktree's HEAD put on the user's branch",
        'put(P["admin"] + "/HEAD", "ref: refs/heads/main\\n")',
        _head_moved,
    ),
    Attack(
        "objects-removed",
        KIND,
        "the repository's objects deleted",
        """
for at, _, files in os.walk(P["git"] + "/objects"):
    for name in files:
        attempt(os.unlink, os.path.join(at, name))
""",
        _objects_lost,
    ),
    Attack(
        "worktree-added",
        KIND,
        "another worktree added elsewhere",
        """
words = ["git", "worktree", "add", "--detach", P["outside"] + "/more"]
print(subprocess.run(words, capture_output=True))
""",
        _more_worktrees,
    ),
]

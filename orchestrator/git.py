"""One repository through the git binary: the small reads and writes that everything else is made of.

Guarantees:
- the git dir and the work tree are named outright, never found by looking at files a command could have
  written;
- file names are bytes with NUL between them, decoded with the file system's own escape for odd bytes;
- a ref moves by compare-and-swap only, so that it is always its old or its new value, and what it named
  and is still wanted is under a trash ref first.

How a call is shielded from configuration and environment stands in `gitcall`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.gitcall import (
    OWN_SETTINGS,
    SETTINGS,
    Done,
    Drivers,
    GitError,
    GitMissing,
    GitTooOld,
    NotARepository,
    RefLocked,
    spawn,
)
from state.durable import sync_folder

__all__ = [
    "Change",
    "Done",
    "Entry",
    "GitError",
    "GitMissing",
    "GitTooOld",
    "NotARepository",
    "RefLocked",
    "Repo",
    "Worktree",
    "absent",
    "same_path",
    "stamp",
]

LOCK_PATIENCE = 1.0  # seconds to wait for a ref that another git process is writing
OUR_LOCK = b"jetbox\n"  # what Jetbox writes into an index.lock that it takes; git writes nothing or "DIRC"
READY = "jetbox-ready"  # in the git dir of a worktree that Jetbox made: written when it is complete
SHELF = "jetbox"  # folder of the common dir for passing files
PASSING = "jetbox-passing-"  # how passing files in the git dir of a checkout begin
TRASH = "refs/jetbox/trash/"
KNOWN_TREES = 10_000  # commits whose trees are remembered
GITLINK = "160000"
SYMLINK = "120000"


@dataclass(frozen=True)
class Change:
    """One path that differs between two trees; absent is mode "000000" and an oid of zeros."""

    status: str
    path: str
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str


@dataclass(frozen=True)
class Entry:
    """One path of a tree or of an index."""

    mode: str
    oid: str
    path: str


@dataclass(frozen=True)
class Worktree:
    """One checkout of the repository, the user's or Jetbox's; `branch` is None when HEAD is detached."""

    path: Path
    git_dir: Path
    branch: str | None


_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def read_ref(common_dir: Path, ref: str) -> tuple[bool, str | None]:
    """A ref as git's own files tell it, without a process: whether they do, and its oid if it is there.

    A loose file counts before the packed one, and is replaced as a whole, so what is read was once true.
    The packed file is read after the loose one was missing: git packs first and removes the loose file then.
    """
    try:
        text = (common_dir / ref).read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        text = ""
    except (OSError, UnicodeDecodeError):
        return False, None
    if text:
        return (True, text) if _OID.fullmatch(text) else (False, None)
    try:
        packed = (common_dir / "packed-refs").read_bytes()
    except FileNotFoundError:
        return True, None
    except OSError:
        return False, None
    found = re.search(rb"^([0-9a-f]{40,64}) " + re.escape(os.fsencode(ref)) + rb"$", packed, re.MULTILINE)
    return True, found[1].decode() if found else None


def stamp(seconds: float) -> str:
    """A moment as git writes it in a commit, in UTC."""
    return f"{int(seconds)} +0000"


def absent(oid: str) -> bool:
    """Whether an oid is git's all-zero 'nothing'."""
    return not oid.strip("0")


@dataclass
class Repo:
    """A repository: `root` is the user's main checkout, `common_dir` what all worktrees share.

    `inherit_fds` go to each git child (POSIX): a git that outlives a killed engine keeps the engine's lock.
    """

    root: Path
    common_dir: Path
    inherit_fds: tuple[int, ...] = ()
    _drivers: Drivers = field(default_factory=Drivers, repr=False, compare=False)
    _trees: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path | str, inherit_fds: tuple[int, ...] = ()) -> Repo:
        """The repository that holds `path`, opened from any of its folders or worktrees."""
        start = Path(path).resolve()
        if not start.is_dir():
            raise NotARepository(f"{start} is not a folder")
        probe = cls(start, start, inherit_fds)
        asked = (
            "rev-parse",
            "--path-format=absolute",
            "--git-common-dir",
            "--git-dir",
            "--is-bare-repository",
        )
        done = probe._spawn(("-C", start, *asked), {})
        if done.code != 0:
            said = done.said
            if "not a git repository" in said:
                raise NotARepository(f"{start} is not in a git repository: run `git init` there first")
            raise GitError(f"git cannot open {start}: {said}")
        common, git_dir, bare = (os.fsdecode(line) for line in done.out.rstrip(b"\n").split(b"\n"))
        if bare == "true":
            raise NotARepository(f"{start} is a bare repository: open one of its worktrees instead")
        home = Path(common).resolve()
        if Path(git_dir).resolve() == home or home.name != ".git":
            top = probe._spawn(("-C", start, "rev-parse", "--show-toplevel"), {})
            if top.code != 0:
                raise NotARepository(f"{start} is inside a git folder: open the checkout itself")
            root = Path(os.fsdecode(top.out.rstrip(b"\n"))).resolve()
        else:  # opened from a linked worktree
            root = home.parent
        return cls(root, home, inherit_fds)

    # --- calls

    def run(
        self,
        *args: str | bytes | Path,
        input: bytes | None = None,
        worktree: Path | None = None,
        index: Path | None = None,
        check: bool = True,
        user_filters: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git and give its standard output; `check` raises GitError when it fails."""
        done = self.call(
            *args,
            input=input,
            worktree=worktree,
            index=index,
            user_filters=user_filters,
            env=env,
            check=check,
        )
        return done.out

    def call(
        self,
        *args: str | bytes | Path,
        input: bytes | None = None,
        worktree: Path | None = None,
        index: Path | None = None,
        check: bool = False,
        user_filters: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """As `run`, with exit status and standard error.

        `worktree` is a checkout of this repository, or any other folder to be seen as one (then with the
        common git dir). Without it the call sees no checkout at all.
        """
        settings = dict(SETTINGS)
        git_dir = self.common_dir
        where: list[str | Path] = []
        if worktree is not None:
            git_dir = self.git_dir_of(worktree) or self.common_dir
            where = [f"--work-tree={worktree}"]
        if not user_filters:
            settings |= OWN_SETTINGS
            settings |= self._drivers.off(self.common_dir, self.inherit_fds)
        variables = dict(env or {})
        if index is not None:
            variables["GIT_INDEX_FILE"] = str(index)
        done = self._spawn((f"--git-dir={git_dir}", *where, *args), settings, input, worktree, variables)
        if check and done.code != 0:
            words = " ".join(os.fsdecode(a) for a in args[:6])
            said = done.said
            raise GitError(f"git {words}: {said}")
        return done

    def _spawn(
        self,
        args: Iterable[str | bytes | Path],
        settings: Mapping[str, str],
        input: bytes | None = None,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        return spawn(
            args,
            settings=settings,
            input=input,
            cwd=cwd or self.common_dir,
            variables=variables,
            inherit_fds=self.inherit_fds,
        )

    # --- worktrees

    def git_dir_of(self, worktree: Path) -> Path | None:
        """The git dir of a checkout of this repository, None for any other folder.

        Taken from the common dir, never from the `.git` file in the checkout, which a command could have
        written.
        """
        if same_path(worktree, self.root) and self.common_dir.parent == self.root:
            return self.common_dir
        for git_dir, path in self.linked():
            if same_path(path, worktree):
                return git_dir
        return self.common_dir if same_path(worktree, self.root) else None

    def linked(self) -> Iterator[tuple[Path, Path]]:
        admin = self.common_dir / "worktrees"
        for git_dir in sorted(admin.iterdir()) if admin.is_dir() else []:
            with contextlib.suppress(OSError):
                text = os.fsdecode((git_dir / "gitdir").read_bytes().rstrip(b"\r\n"))
                if text:
                    yield git_dir, Path(os.path.normpath(git_dir / text)).parent

    def checkouts(self) -> list[Worktree]:
        """Each checkout whose folder exists: the main one first, then the linked ones."""
        found = list(self.linked())
        if not any(same_path(path, self.root) for _, path in found):
            found.insert(0, (self.common_dir, self.root))
        return [Worktree(p, d, self._head_branch(d)) for d, p in found if (p / ".git").exists()]

    def head_branch(self, worktree: Path | None = None) -> str | None:
        """The full name of the branch checked out there, None when HEAD is detached."""
        git_dir = self.git_dir_of(worktree or self.root)
        if git_dir is None:
            raise NotARepository(f"{worktree} is not a checkout of {self.root}")
        return self._head_branch(git_dir)

    def _head_branch(self, git_dir: Path) -> str | None:
        with contextlib.suppress(OSError):
            head = (git_dir / "HEAD").read_bytes().strip()
            if head.startswith(b"ref: refs/heads/") and not head.endswith(b"/.invalid"):
                return os.fsdecode(head[5:])
            if _OID.fullmatch(head.decode("ascii", "replace")):
                return None
        done = self._spawn((f"--git-dir={git_dir}", "symbolic-ref", "-q", "HEAD"), {})
        return os.fsdecode(done.out.rstrip(b"\n")) if done.code == 0 else None

    def is_unborn(self, worktree: Path | None = None) -> bool:
        """Whether the checked-out branch has no commit yet."""
        branch = self.head_branch(worktree)
        return branch is not None and self.resolve(branch) is None

    # --- objects

    def resolve(self, name: str) -> str | None:
        """The oid that a full ref name, or else a commit's name, stands for; None when there is none."""
        if name.startswith("refs/"):
            if not (self.common_dir / "reftable").exists():
                known, oid = read_ref(self.common_dir, name)
                if known:
                    return oid
            done = self.call("show-ref", "--verify", "--hash", "--", name)
        else:
            done = self.call("rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")
        return done.out.decode().strip() if done.code == 0 else None

    def resolve_in(self, worktree: Path) -> str | None:
        """The commit that is checked out in a worktree, None when there is none yet."""
        done = self.call("rev-parse", "-q", "--verify", "HEAD^{commit}", worktree=worktree)
        return done.out.decode().strip() if done.code == 0 else None

    def tree_of(self, commit: str) -> str:
        """The oid of a commit's tree. What an oid names never changes, so it is asked once."""
        tree = self._trees.get(commit)
        if tree is None:
            args = ("rev-parse", "-q", "--verify", "--end-of-options", f"{commit}^{{tree}}")
            tree = self.run(*args).decode().strip()
            self._keep_tree(commit, tree)
        return tree

    def _keep_tree(self, commit: str, tree: str) -> None:
        if _OID.fullmatch(commit):
            if len(self._trees) >= KNOWN_TREES:
                self._trees.clear()
            self._trees[commit] = tree

    def commit_tree(self, tree: str, parents: Iterable[str], message: str, author: str, date: str) -> str:
        """Make a commit; the same arguments give the same oid however often. `author` is also the committer.

        `author` reads "Name <mail>", `date` as from `stamp`.
        """
        who = re.fullmatch(r"\s*([^<>\n]*[^<>\s])\s*<([^<>\n]*)>\s*", author)
        if who is None:
            raise ValueError(f'an author reads "Name <mail>", not {author!r}')
        if not re.fullmatch(r"\d+ [+-]\d{4}", date):
            raise ValueError(f'a date reads "1700000000 +0000", not {date!r}')
        env: dict[str, str] = {}
        for role in ("AUTHOR", "COMMITTER"):
            env[f"GIT_{role}_NAME"], env[f"GIT_{role}_EMAIL"] = who[1], who[2]
            env[f"GIT_{role}_DATE"] = f"@{date}"
        text = message.replace("\0", "\ufffd").rstrip() + "\n"
        args = [word for parent in parents for word in ("-p", parent)]
        data = text.encode(errors="replace")
        commit = self.run("commit-tree", tree, *args, input=data, env=env).decode().strip()
        self._keep_tree(commit, tree)
        return commit

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` contains the commit `old`."""
        if old == new:
            return True
        done = self.call("merge-base", "--is-ancestor", old, new)
        if done.code > 1:
            raise GitError(f"git merge-base: {done.err.decode(errors='replace').strip()}")
        return done.code == 0

    def changes(self, old: str, new: str) -> list[Change]:
        """What differs between two trees, path by path, with no guess at renames."""
        out = self.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new)
        words = out.split(b"\0")
        found = []
        for head, path in zip(words[::2], words[1::2], strict=False):
            old_mode, new_mode, old_oid, new_oid, status = head.decode().lstrip(":").split()
            found.append(Change(status, os.fsdecode(path), old_mode, new_mode, old_oid, new_oid))
        return found

    def diff(self, old: str, new: str) -> bytes:
        """The patch between two trees, for reading; files that are not text are named by their full oids."""
        return self.run(
            "diff-tree", "-r", "-p", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv",
            "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", old, new,
        )  # fmt: skip

    def show_file(self, tree: str, path: str) -> bytes | None:
        """The bytes of one file of a tree as git keeps them, None when the tree has no such file."""
        done = self.call("cat-file", "blob", os.fsencode(f"{tree}:{path}"))
        if done.code != 0:
            self.tree_of(tree)  # raises when it is the tree that is missing
            return None
        return done.out

    def files(self, tree: str) -> list[Entry]:
        """Each file, link and submodule of a tree."""
        found = []
        for line in self.run("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]:
            head, _, path = line.partition(b"\t")
            mode, _, oid = head.decode().split()
            found.append(Entry(mode, oid, os.fsdecode(path)))
        return found

    # --- refs

    def compare_and_swap(self, ref: str, new: str | None, old: str | None) -> bool:
        """Move a ref from `old` to `new` (None: no ref); True when it is `new` afterwards."""
        nothing = "0" * len(new or old or "")
        until = time.monotonic() + LOCK_PATIENCE
        while True:
            if new is None:
                done = self.call("update-ref", "-d", ref, *([old] if old else []))
            else:
                done = self.call("update-ref", "-m", "jetbox", ref, new, old or nothing)
            now = self.resolve(ref) if done.code != 0 else new
            if now == new:
                self._sync_ref(ref)
                return True
            if now != old:
                return False
            said = done.said
            if ".lock'" not in said and "packed-refs.new" not in said:
                raise GitError(f"git update-ref {ref}: {said}")
            if time.monotonic() > until:
                raise RefLocked(f"{ref} is being written by another git process: {said.splitlines()[0]}")
            time.sleep(0.05)

    def move_keeping(self, ref: str, new: str) -> None:
        """Point a ref of Jetbox's own at `new`; commits that only the ref held go to a trash ref first."""
        while True:
            old = self.resolve(ref)
            if old == new:
                return
            if old is not None and not self.is_ancestor(old, new):
                self.keep(old, ref.removeprefix("refs/").removeprefix("jetbox/"))
            if self.compare_and_swap(ref, new, old):
                return

    def keep(self, commit: str, label: str) -> str:
        """Hold a commit under a trash ref, whose name is given by label and commit, and give that name."""
        ref = f"{TRASH}{label}/{commit[:16]}"
        if self.resolve(ref) != commit and not self.compare_and_swap(ref, commit, None):
            raise GitError(f"{ref} is taken by another commit")
        return ref

    def refs(self, prefix: str) -> dict[str, str]:
        """Refs under a prefix (full name, ending in '/' or naming one ref) and their oids."""
        out = self.run("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        pairs = (line.partition(b" ") for line in out.splitlines())
        return {os.fsdecode(name): oid.decode() for oid, _, name in pairs}

    def _sync_ref(self, ref: str) -> None:
        """Make the rename that moved a ref outlive a power cut; git syncs the file but not its folder."""
        folder = (self.common_dir / ref).parent
        if folder.is_dir():  # git removes one that its last ref has left
            sync_folder(folder)


def same_path(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, by name."""
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))

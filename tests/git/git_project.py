"""A user's repository, driven by plain git commands as the user would type them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from orchestrator.git import Repo
from orchestrator.landing import Landing

WHO = "Ada <ada@example.org>"
WHEN = "1700000000 +0000"


class Project:
    """The user's side: a checkout and plain git commands in it, as the user would type them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def repo(self) -> Repo:
        return Repo.open(self.root)

    def git(self, *args: str | Path, at: Path | None = None, check: bool = True, stdin: bytes = b"") -> str:
        env = {**os.environ, "GIT_AUTHOR_DATE": WHEN, "GIT_COMMITTER_DATE": WHEN}
        done = subprocess.run(
            ["git", *args], cwd=at or self.root, capture_output=True, check=False, input=stdin, env=env
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return os.fsdecode(done.stdout).strip()

    def write(self, files: dict[str, str | bytes], at: Path | None = None) -> None:
        for name, content in files.items():
            target = (at or self.root) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: dict[str, str | bytes] | None = None, message: str = "a step") -> str:
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def change(self, files: dict[str, str | bytes | None], base: str | None = None) -> str:
        """A commit on top of `base` made away from the checkout: what a ticket would offer."""
        repo, base = self.repo, base or self.git("rev-parse", "HEAD")
        index = self.root.parent / "change.index"
        index.unlink(missing_ok=True)
        repo.run("read-tree", base, index=index)
        for name, content in files.items():
            path = os.fsencode(name)
            line = b"0 " + b"0" * 40 + b"\t" + path + b"\0"
            if content is not None:
                data = content.encode() if isinstance(content, str) else content
                oid = repo.run("hash-object", "-w", "--stdin", input=data).strip()
                line = b"100644 " + oid + b"\t" + path + b"\0"
            repo.run("update-index", "-z", "--index-info", input=line, index=index)
        tree = repo.run("write-tree", index=index).decode().strip()
        return repo.commit_tree(tree, [base], "change", WHO, WHEN)

    def landing(self, head: str, tree: str | None = None) -> Landing:
        base = self.git("rev-parse", "refs/heads/main")
        tree = tree or self.repo.tree_of(head)
        return Landing("refs/heads/main", base, head, tree, "Land it", WHO, WHEN, "J-1", "1")

    def everything(self) -> dict[str, bytes]:
        """Each file of the checkout and its bytes, the git dir left out."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root)
            if name.parts[0] in (".git", ".jetbox") or (path.is_dir() and not path.is_symlink()):
                continue
            found[os.fsdecode(os.fsencode(name))] = (
                os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()  # noqa: PTH115
            )
        return found

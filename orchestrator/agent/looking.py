"""READ and SEARCH: what a model is shown of the files as they are at the last checkpoint."""

from __future__ import annotations

import os

from orchestrator.agent.verbs import Read
from orchestrator.git import SYMLINK, GitError, Repo

FOLDER = "040000"  # git's mode of one
LINES = 400
"""Lines shown at once; a longer file is shown from its start, and the model is told how to go on."""
_LONGEST = 16_000  # characters
_HITS = 60
_WIDE = 200


def look(repo: Repo, tree: str, read: Read) -> tuple[bool, str]:
    """Some lines of a file, with the numbers of the first and the last; False where there is none."""
    mode = _mode(repo, tree, read.path)
    if mode == FOLDER:
        return _folder(repo, tree, read.path)
    data = repo.show_file(tree, read.path)
    if mode == SYMLINK and data is not None:
        return False, f"{read.path} is a link to {data.decode('utf-8', 'replace')}: READ that instead."
    if data is None:
        near = _near(repo, tree, read.path)
        return False, f"There is no file {read.path}." + (f" There is: {', '.join(near)}." if near else "")
    if b"\0" in data[:8192]:
        return False, f"{read.path} is not text ({len(data)} bytes)."
    lines = _lines(data)
    first, wanted = max(read.first, 1), min(read.last or len(lines), len(lines))
    if first > max(len(lines), 1):
        return False, f"{read.path} has {len(lines)} line{'s' if len(lines) != 1 else ''}."
    last = min(wanted, first + LINES - 1)
    shown = lines[first - 1 : last]
    while sum(map(len, shown)) > _LONGEST and len(shown) > 1:
        shown = shown[: len(shown) // 2]
        last = first + len(shown) - 1
    text = "\n".join(shown)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} ... ({len(text) - _LONGEST} more characters in this line)"
    fence = "```"
    while fence in text:
        fence += "`"
    whole = first == 1 and last >= len(lines)
    where = f"all {len(lines)} lines" if whole else f"lines {first} to {last} of {len(lines)}"
    more = f"\n(READ {read.path}:{last + 1}- shows more)" if last < wanted else ""
    return True, f"{read.path}, {where}:\n{fence}\n{text}\n{fence}{more}"


def search(repo: Repo, tree: str, pattern: str) -> tuple[bool, str]:
    """The lines that hold a text, in all files; False where there is none."""
    if "\n" in pattern:
        return False, "Nothing was looked for: SEARCH finds text that stands in one line."
    done = repo.call("grep", "-n", "-I", "-F", "--no-color", "--full-name", "-e", os.fsencode(pattern), tree)
    if done.code > 1:
        raise GitError(f"git grep: {done.said}")
    if done.code == 1:
        return False, f"No line holds {pattern!r}."
    hits = [line.removeprefix(f"{tree}:")[:_WIDE] for line in _lines(done.out)]
    more = f"\n(and {len(hits) - _HITS} more)" if len(hits) > _HITS else ""
    return True, f"{len(hits)} lines hold {pattern!r}:\n" + "\n".join(hits[:_HITS]) + more


def _lines(data: bytes) -> list[str]:
    """Lines as editors and compilers count them: a form feed or U+2028 ends none."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def _mode(repo: Repo, tree: str, path: str) -> str:
    """What a path is in a tree, as git has it; '' where there is nothing."""
    if path == ".":
        return FOLDER
    found = repo.run("ls-tree", "-z", "--full-tree", tree, "--", os.fsencode(path))
    return found.partition(b" ")[0].decode()


def _folder(repo: Repo, tree: str, path: str) -> tuple[bool, str]:
    inside = [entry.path for entry in repo.files(tree) if path == "." or entry.path.startswith(f"{path}/")]
    more = f"\n(and {len(inside) - _HITS} more)" if len(inside) > _HITS else ""
    return True, f"{path} is a folder with {len(inside)} files:\n" + "\n".join(inside[:_HITS]) + more


def _near(repo: Repo, tree: str, path: str) -> list[str]:
    """Files of the same name elsewhere, else what lies in the same folder."""
    name, folder = path.rpartition("/")[2], path.rpartition("/")[0]
    paths = [entry.path for entry in repo.files(tree)]
    same = [each for each in paths if each.rpartition("/")[2] == name]
    return (same or [each for each in paths if each.rpartition("/")[0] == folder])[:8]

"""READ and SEARCH: what a model is shown of the files as they are at the last checkpoint."""

from __future__ import annotations

import os

from orchestrator.agent.verbs import Read
from orchestrator.git import Repo

LINES = 400
"""Lines shown at once; a longer file is shown from its start, and the model is told how to go on."""
_LONGEST = 16_000  # characters
_HITS = 60
_WIDE = 200


def look(repo: Repo, tree: str, read: Read) -> tuple[bool, str]:
    """Some lines of a file, with the numbers of the first and the last; False where there is none."""
    data = repo.show_file(tree, read.path)
    if data is None:
        near = _near(repo, tree, read.path)
        return False, f"There is no file {read.path}." + (f" There is: {', '.join(near)}." if near else "")
    if b"\0" in data[:8192]:
        return False, f"{read.path} is not text ({len(data)} bytes)."
    lines = data.decode("utf-8", "replace").splitlines()
    first = max(read.first, 1)
    last = min(read.last or len(lines), first + LINES - 1, len(lines))
    shown = lines[first - 1 : last]
    while sum(map(len, shown)) > _LONGEST and len(shown) > 1:
        shown = shown[: len(shown) // 2]
        last = first + len(shown) - 1
    text = "\n".join(shown)[: _LONGEST * 2]
    fence = "```"
    while fence in text:
        fence += "`"
    whole = first == 1 and last >= len(lines)
    where = f"all {len(lines)} lines" if whole else f"lines {first} to {last} of {len(lines)}"
    more = f"\n(READ {read.path}:{last + 1}- shows more)" if last < len(lines) and not read.last else ""
    return True, f"{read.path}, {where}:\n{fence}\n{text}\n{fence}{more}"


def search(repo: Repo, tree: str, pattern: str) -> tuple[bool, str]:
    """The lines that hold a text, in all files; False where there is none."""
    done = repo.call("grep", "-n", "-I", "-F", "--no-color", "--full-name", "-e", os.fsencode(pattern), tree)
    if done.code != 0:
        return False, f"No line holds {pattern!r}."
    hits = [
        line.removeprefix(f"{tree}:")[:_WIDE] for line in done.out.decode("utf-8", "replace").splitlines()
    ]
    more = f"\n(and {len(hits) - _HITS} more)" if len(hits) > _HITS else ""
    return True, f"{len(hits)} lines hold {pattern!r}:\n" + "\n".join(hits[:_HITS]) + more


def _near(repo: Repo, tree: str, path: str) -> list[str]:
    """Files of the same name elsewhere, else what lies in the same folder."""
    name, folder = path.rpartition("/")[2], path.rpartition("/")[0]
    paths = [entry.path for entry in repo.files(tree)]
    same = [each for each in paths if each.rpartition("/")[2] == name]
    return (same or [each for each in paths if each.rpartition("/")[0] == folder])[:8]

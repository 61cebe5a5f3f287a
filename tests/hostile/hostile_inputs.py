"""Hostile input made up by hypothesis: texts, YAML, JSON, paths, outputs, diffs, odd things on the disk."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NASTY = (
    "", " ", "\t", "\n", "\r", "\x00", "\x07", "\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\x7f", "\u202e",
    "\u2066",
    "\u200b", "\ufeff", "\u2028", "\u0085", "\U000e0041", "\u3164", "e" + "\u0301" * 50, "👩\u200d👩\u200d👧",
    "\ufe0f" * 9, "\uffff", "\U0010ffff", "ﬁ", "．ｇｉｔ", "\u0130", "ẞ",
    "/etc/passwd", "../../../etc/passwd", "a/../../b", "..\\..\\x", "C:\\x", "\\\\host\\share", "~root/x",
    "//x",
    ".git/config", ".GIT/hooks/pre-commit", "git~1", ".git.", "a/.git\u200c/b", ".", "..", "./x", "x/",
    "a//b",
    "a:stream", "nul", "con.txt", "-rf", "--", "$(touch outside)", "`id`", "; true", "%s%n%d", "{0}",
    "a" * 300,
    "x/" * 80, "é" * 400, "null", "~", "yes", "no", "010", "0x1F", "0o7", "12:30", "1e999", "-1e-999", "-0",
    ".inf",
    ".nan", "NaN", "Infinity", "9" * 25, "9" * 500, "-" * 40, "2001-01-01", "<<", "=",
    "!!python/object:os.system",
    "&a", "*a", "*", "&", "{{", "}}", "[", "]", "{", "}", ": ", "- ", "? ", "# x", "|", ">", "'", '"', "@",
    "%YAML 9.9",
    "---", "...", "TICKET-001", "TICKET-999999999999", "ticket-1", "JETBOX_INPUT_X", "main",
    "refs/heads/main", "HEAD",
)  # fmt: skip
"""What has broken programs before."""

ANY_TEXT = st.text(st.characters(codec=None), max_size=30)  # type: ignore[arg-type]  # lone surrogates too
TEXT = st.one_of(
    st.sampled_from(NASTY), ANY_TEXT, st.lists(st.sampled_from(NASTY), min_size=2, max_size=4).map("".join)
)
WHOLE_TEXT = TEXT.map(lambda text: text.encode("utf-8", "replace").decode())
"""Without lone surrogates: what a decoder lets through."""

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**300, 10**400, -(10**4000), 5e-324, 1e308]),
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)


def json_values(most: int = 12) -> st.SearchStrategy[Any]:
    """Values as `json.loads` gives them, nested."""
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
        max_leaves=most,
    )


BOMBS = st.sampled_from(
    (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"b%d: &b%d [*a,*a,*a,*a,*a,*a,*a,*a]\n" % (n,
        n) for n in range(9)),
        b"a: &a {a: *a}\n", b"&a [*a]\n", b"<<: *x\n", b"[" * 50_000, b"{" * 50_000, b"- " * 50_000,
        b"? " * 20_000,
        b"a: " * 10_000, b"'" * 60_001, b'"' + b"\\U0010FFFF" * 10_000, b'"\\UFFFFFFFF"', b"! " * 20_000,
        b"&a " * 20_000,
        b"".join(b"k%d: 1\n" % n for n in range(20_000)), b"k: 1\n" * 20_000, b"- x\n" * 60_000,
        b"a: |\n" + b" \n" * 90_000,
        b"x" * 300_000, b"goal: " + b"9" * 250_000, b"\xff\xfe" + b"a\x00" * 50, b"\x00" * 1000,
        b"\xef\xbb\xbf" * 3,
        b"%TAG ! tag:x,2000:\n---\nkind: !x run\n", b"%YAML 1.1\n---\na: 1\n", b"---\na: 1\n---\nb: 2\n",
        b"\r" * 70_000,
        b"".join(b" " * n + b"a:\n" for n in range(600)), b"#" * 200_000, b"a: 'x\n" + b"\n" * 100_000,
        b"!!python/object/apply:os.system ['touch outside']\n", b"a: !!binary aGVsbG8=\n",
        b"\x85a: 1\xc2\x85b: 2",
        b"\xed\xa0\x80", b"a: \xc3", b"key with spaces : 1\nkey with spaces : 2\n", b"? [a, b]\n: 1\n",
        b"~: 1\n1: 2\n",
    )
)  # fmt: skip

_TICKET: dict[str, Any] = {
    "kind": "run", "goal": "Something to be done", "with": {"steps": ["true"]}, "accept": ["standard"],
    "needs": ["TICKET-002"], "labels": ["a"], "when": "now", "paths": ["src/**"], "constraints": ["none"],
    "risks": [{"risk": "it breaks", "then": "mend it"}], "rollback": "revert", "budget": {"time": "5m"},
    "approve": ["start"], "notes": "x", "persona": "ada",
}  # fmt: skip
_CHECKS = (
    {"run": "true", "red": True}, {"metric": "loss", "max": 1.0}, {"file": "a.txt", "contains": "x"},
    {"judge": "is it good?", "min": 0.5}, {"human": "is it good?"},
)  # fmt: skip
_SETTINGS: dict[str, Any] = {
    "base": "main", "parallel": 2, "sandbox": {"readable": ["~/x"], "programs": ["git"]},
    "unit": {"run": "true", "red": False, "about": "x"}, "servers": ["127.0.0.1:1"],
    "approval": {"ssh_key": "~/k"},
    "alerts": {"file": True}, "limits": {"memory": 1 << 30},
}  # fmt: skip


@st.composite
def replaced(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """A good map with some of its values, at any depth, replaced by hostile ones."""
    found: dict[str, Any] = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = found
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(json_values(6))
            break
    if draw(st.booleans()):
        found[draw(TEXT)] = draw(json_values(4))
    return found


@st.composite
def _spliced(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with hostile ones put in, cut out or doubled."""
    data = good
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        new = draw(
            st.one_of(st.binary(max_size=12), TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
        )
        data = draw(
            st.sampled_from((data[:at] + new + data[at:], data[:at] + data[to:], data[:to] + data[at:]))
        )
    return data


def _yaml(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def yaml_files(*good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Files that should be one of these maps in YAML."""
    import yaml

    blocks = [yaml.safe_dump(each, sort_keys=False).encode() for each in good]
    return st.one_of(
        st.sampled_from(good).flatmap(replaced).map(_yaml),
        st.sampled_from(blocks).flatmap(_spliced),
        BOMBS,
        st.binary(max_size=200),
        TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")),
    )


TICKETS = yaml_files(
    _TICKET, {**_TICKET, "accept": list(_CHECKS)}, {**_TICKET, "kind": "datagen", "with": {"recipe": "x"}}
)
SETTINGS = yaml_files(
    _SETTINGS, {"sandbox": _SETTINGS["sandbox"]}, {"unit": _SETTINGS["unit"]}, {"parallel": 3}
)

_EVENTS: tuple[dict[str, Any], ...] = tuple(
    {"v": 1, "t": 1.5, "at": "2026-01-01T00:00:00Z", **more}
    for more in (
        {"type": "progress", "done": 1, "total": 10}, {"type": "metric", "name": "loss", "value": 0.5},
        {"type": "phase", "name": "one"}, {"type": "checkpoint", "path": "a", "sha256": "0" * 64},
        {"type": "alert", "level": "warn", "message": "x"}, {"type": "artifact", "path": "a",
        "sha256": "0" * 64},
    )
)  # fmt: skip


def json_lines(*good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """A line that should be one of these maps in JSON."""
    return st.one_of(
        st.sampled_from(good).map(lambda value: json.dumps(value).encode()),
        st.sampled_from(good).flatmap(replaced).map(lambda value: json.dumps(value).encode()),
        st.sampled_from([json.dumps(value).encode() for value in good]).flatmap(_spliced),
        st.sampled_from(
            (
                b"[" * 30_000,
                b'{"v":' * 5_000,
                b"1" * 5_000,
                b"x" * 70_000,
                b"\x00",
                b'{"v":1e999}',
                b"NaN",
                b"",
            )
        ),
        st.binary(max_size=60),
    )


EVENTS = st.lists(json_lines(*_EVENTS), max_size=6).map(b"\n".join)
RESULTS = json_lines(
    {
        "v": 1,
        "ok": True,
        "metrics": {"loss": 0.1},
        "artifact": {"path": "data/manifest.json", "sha256": "0" * 64},
    },
    {"v": 1, "ok": False, "error": "x"},
    {"pid": 1, "start": "x"},
)
FILE_NAMES = st.one_of(st.sampled_from(("TICKET-007", "TICKET-08")), TEXT)
ON_DISK = st.sampled_from(("file", "file", "link", "dangling", "pipe", "folder", "long"))
"""What stands where a run's file should."""

PATHS = st.one_of(
    TEXT,
    st.lists(
        st.sampled_from((*NASTY, "src", "a.txt", "link", "linked", "hard", "pipe", "new")),
        min_size=1,
        max_size=5,
    ).map("/".join),
)
OUTPUTS = st.lists(
    st.one_of(
        st.binary(max_size=80),
        TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.just(b"x" * 3000),
    ),
    max_size=12,
)
_DIFF = (
    b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@ f\n same\n-old\n+new\n+more\n"
    b"diff --git a/y b/y\nBinary files differ\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"
)
DIFFS = st.one_of(
    _spliced(_DIFF),
    st.sampled_from(
        (b"@@ -1,99999999999999999999 +1,9 @@\n+x", b"@@ -1 +1 @@" * 9000, b"+" * 90_000, b"\n" * 9000)
    ),
    st.binary(max_size=300),
)

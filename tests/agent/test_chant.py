"""A model that repeats itself without end is heard, and one that writes what repeats by nature is not."""

from __future__ import annotations

import base64
import random
import sysconfig
import tracemalloc
from pathlib import Path

import pytest

from orchestrator.agent.chant import Chant

LIBRARY = Path(sysconfig.get_path("stdlib"))
WORDS = ["alpha", "beta", "gamma", "delta", "file", "test", "check", "edit", "value", "result", "index"]


def heard(text: str, piece: int = 7) -> int | None:
    """After how many characters a chant is heard, if at all."""
    chant = Chant()
    for start in range(0, len(text), piece):
        if chant.hear(text[start : start + piece]):
            assert chant.why
            return start + piece
    assert not chant.why
    return None


def healthy(kind: str) -> str:
    some = random.Random(7)
    match kind:
        case "imports":
            return "".join(f"from package.{a}.{b} import {a}_{b}\n" for a in WORDS for b in WORDS)
        case "rows":
            return "".join(f"    ({n}, 'name{n}', {n * 10}, 'about {n}'),\n" for n in range(200))
        case "measurements":
            return "".join(f"    ({n}, 'name{n}', {some.random():.3f}),\n" for n in range(2_000))
        case "tests":
            return "".join(f"def test_{n}():\n    assert double({n}) == {2 * n}\n\n\n" for n in range(150))
        case "zeros":
            return "    [0, 0, 0, 0, 0, 0, 0, 0],\n" * 20
        case "table":
            return "| name | value |\n|--|--|\n" + "| yes | no |\n" * 60
        case "art":
            return "+----+----+----+----+\n|    |    |    |    |\n" * 25
        case "rules":
            return "\n".join(f"{'=' * 78}\n{word.title()}\n{'-' * 78}" for word in WORDS)
        case "log":
            return "".join(f"Epoch {n}: loss {some.random():.4f}\n" for n in range(400))
        case "base64":
            return base64.b64encode(some.randbytes(9_000)).decode()
        case "minified":
            names = [some.choice("abcdefgh") for _ in range(3_000)]
            return "".join(
                f"function {a}({b}){{return {b}.{c}}};" for a, b, c in zip(*[iter(names)] * 3, strict=True)
            )
        case "twice":  # a text is quoted, then written out with one change
            text = (LIBRARY / "json" / "decoder.py").read_text()[:3_000]
            return f"<<<<<<< SEARCH\n{text}=======\n{text[:1500]}x{text[1500:]}>>>>>>> REPLACE\n"
        case _:
            raise ValueError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "imports",
        "rows",
        "measurements",
        "tests",
        "zeros",
        "table",
        "art",
        "rules",
        "log",
        "base64",
        "minified",
        "twice",
    ],
)
def test_what_repeats_by_nature_is_no_chant(kind: str) -> None:
    assert heard(healthy(kind)) is None


def test_the_standard_library_is_no_chant() -> None:
    files = sorted(LIBRARY.glob("*.py")) + sorted((LIBRARY / "encodings").glob("*.py"))
    for file in random.Random(3).sample(files, 24):
        assert heard(file.read_text(encoding="utf-8", errors="replace")[:15_000], 61) is None, file


def chants() -> dict[str, tuple[str, int]]:
    """Endless texts, and within how many characters each must be heard."""
    some = random.Random(5)
    said = [
        "Wait, let me check the file again. ",
        "Actually, no. ",
        "Hmm, the test still fails. ",
        "I should read it. ",
    ]
    block = "".join(some.choice(WORDS) + some.choice([" ", "\n", "(", "):\n", " = "]) for _ in range(400))
    return {
        "a line": ("I will check the file again.\n" * 900, 1_500),
        "a word": ("Wait, " * 2_000, 1_500),
        "another script": ("我需要再次检查这个文件。" * 600, 1_500),
        "steps": ("".join(f"Step {n}: check the file again.\n" for n in range(41, 900)), 1_500),
        "steps in a row": ("".join(f"step {n}, " for n in range(41, 3_000)), 1_500),
        "steps in markup": (
            "".join(f"{n}. **Step {n}**: Check the `value` again.\n" for n in range(900)),
            1_500,
        ),
        "a syllable": ("ha" * 5_000, 1_500),
        "a statement": ("    print('hello')\n" * 900, 1_600),
        "a sign": ("-" * 9_000, 1_600),
        "a digit": ("0" * 9_000, 1_600),
        "blanks": ("\n" * 9_000, 1_600),
        "phrases in any order": ("".join(some.choice(said) for _ in range(900)), 2_500),
        "a block of code": (block[:400] * 20, 1_900),
        "a long block": (block[:2_000] * 8, 3 * 2_000 + 200),  # the third time
        "rows that count": ("".join(f"x{n} = {n}\n" for n in range(9_000)), 30_000),
    }


@pytest.mark.parametrize("kind", chants())
def test_a_chant_is_heard_soon_after_healthy_text(kind: str) -> None:
    before = (LIBRARY / "textwrap.py").read_text()[:6_000]
    text, within = chants()[kind]
    at = heard(before + text)
    assert at is not None
    assert len(before) < at <= len(before) + within


def test_how_a_stream_is_cut_changes_nothing() -> None:
    text = healthy("log") + "Let me check 12 files again. " * 100
    at = {piece: heard(text, piece) for piece in (1, 5, 400)}
    assert at[1] is not None
    assert all(at[1] <= found < at[1] + piece for piece, found in at.items() if found is not None)
    assert None not in at.values()


def test_it_stays_heard() -> None:
    chant = Chant()
    assert chant.hear("again and " * 200)
    assert chant.hear("Something else now.")


def test_a_long_stream_takes_no_more_memory_than_a_short_one() -> None:
    some = random.Random(1)

    def used(characters: int) -> int:
        chant = Chant()
        tracemalloc.start()
        for _ in range(characters // 1_000):
            assert not chant.hear("".join(some.choices("abcdefghij klmno(){}=.,", k=1_000)))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size

    assert used(16_000) < 1.3 * used(6_000)

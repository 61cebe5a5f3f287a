"""The same failure comes to the same text, whoever printed it; a hostile output costs little."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.agent import normalise

CASE = """
import unittest

class T(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(1 + 1, {wanted})

    def test_object(self):
        raise ValueError(f"no {{object()}}")
"""
RUNNERS = {
    "unittest": ("-m", "unittest"),
    "pytest": ("-m", "pytest", "-q", "-p", "no:cacheprovider"),
}
# What the runners printed, with what differs from one run to the next: @ is a number, % a folder.
PRINTED = {
    "go": (
        "--- FAIL: TestAdd (0.0@s)\n    m_test.go:@: got -1, want 3\nFAIL\nFAIL\tm\t0.00@s\nFAIL\n",
        {"TestAdd"},
        ("got -1", "got -2"),
        False,
    ),
    "go, compiling": (
        "# m [m.test]\n./m.go:@:37: undefined: c\nFAIL\tm [build failed]\nFAIL\n",
        set(),
        ("undefined: c", "undefined: d"),
        True,
    ),
    "node": (
        "TAP version 13\n# Subtest: adds\nnot ok 1 - adds\n  ---\n  duration_ms: 4.71@\n"
        "  location: '%/a.test.js:2:1'\n  error: |-\n    Expected values to be strictly equal:\n"
        "    \n    -1 !== 3\n"
        "  name: 'AssertionError'\n  expected: 3\n  actual: -1\n  stack: |-\n"
        "    Test.run (%/a.js:@:9)\n  ...\n"
        "ok 2 - ok\n# pass 1\n# duration_ms 343.@\n",
        {"adds"},
        ("actual: -1", "actual: -2"),
        False,
    ),
    "node, loading": (
        "node:internal/modules/cjs/loader:1210\n  throw err;\n  ^\n\nError: Cannot find module './gone'\n"
        "Require stack:\n- %/b.js\n    at Module._load (node:internal/modules/cjs/loader:12@:15)\n",
        set(),
        ("./gone", "./lost"),
        True,
    ),
    "jest": (
        "FAIL %/a.test.js\n  ● shop › adds\n\n    expect(received).toBe(expected)\n\n    Expected: 3\n"
        "    Received: -1\n\n      at Object.<anonymous> (a.test.js:@:10)\n\nTime:        0.8@ s\n",
        {"shop › adds"},
        ("Received: -1", "Received: -2"),
        False,
    ),
    "rust": (
        "running 1 test\ntest tests::adds ... FAILED\n\n---- tests::adds stdout ----\n\n"
        "thread 'tests::adds' (230@) panicked at %/l.rs:2:40:\nassertion `left == right` failed\n  left: -1\n"
        " right: 3\ntest result: FAILED. 0 passed; 1 failed; finished in 0.2@s\n",
        {"tests::adds"},
        ("left: -1", "left: -2"),
        False,
    ),
    "rust, compiling": (
        "error[E0425]: cannot find value `c` in this scope\n --> %/l.rs:@:32\n  |\n"
        "error: aborting due to 1 previous error\n",
        set(),
        ("`c`", "`d`"),
        True,
    ),
    "javac": (
        "%/A.java:@: error: cannot find symbol\nclass A { int f() { return g(); }\n      ^\n"
        "  symbol:   method g()\n  location: class A\n1 error\n",
        set(),
        ("method g", "method h"),
        True,
    ),
    "JUnit": (
        "[ERROR] Tests run: 2, Failures: 1, Time elapsed: 0.05@ s <<< FAILURE!\n"
        "[ERROR] ShopTest.adds:@ expected\n"
        "org.opentest4j.AssertionFailedError: expected: <3> but was: <-1>\n"
        "\tat ShopTest.adds(ShopTest.java:@)\n",
        {"ShopTest.adds"},
        ("<-1>", "<-2>"),
        False,
    ),
    "tsc": (
        "%/a.ts(@,5): error TS2304: Cannot find name 'x'.\n",
        set(),
        ("'x'", "'y'"),
        False,
    ),
    "any other": (
        "2026-01-0@ 10:00:0@ starting %/run as pid 41@\nbuild: target 7@ failed at 0x7f00ab@c\n",
        set(),
        ("target", "goal"),
        False,
    ),
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_two_runs_of_the_same_failure_are_one(runner: str, tmp_path: Path) -> None:
    said = {}
    for folder, wanted in (("one", 3), ("two", 3), ("other", 4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "test_it.py").write_text(CASE.format(wanted=wanted))
        (tmp_path / folder / "pytest.ini").write_text("[pytest]\n")
        done = subprocess.run(
            [sys.executable, "-B", *RUNNERS[runner]],
            cwd=tmp_path / folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode
        output = done.stdout + done.stderr
        said[folder] = normalise.error(output)
        names = normalise.failures(output)
        assert {name.split("::")[-1].split()[0] for name in names} == {"test_sum", "test_object"}
        assert str(tmp_path) not in said[folder]
    assert said["one"] == said["two"]
    assert said["one"] != said["other"]
    assert "2 != 3" in said["one"]
    assert not normalise.broken(said["one"])


@pytest.mark.parametrize("runner", PRINTED)
def test_what_changes_from_run_to_run_is_left_out_and_what_failed_is_kept(runner: str) -> None:
    text, names, (now, then), broken = PRINTED[runner]
    one = text.replace("@", "1").replace("%", "/tmp/pytest-of-a/box1")
    two = text.replace("@", "2").replace("%", "/home/someone/work/tree2")
    error = normalise.error(one)
    assert error == normalise.error(two)
    assert now in one
    assert error != normalise.error(one.replace(now, then))
    assert normalise.failures(one) == names
    assert normalise.broken(error) is broken
    assert "/tmp" not in error


def test_a_syntax_error_is_one_of_code_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def broken(:\n")
    done = subprocess.run(
        [sys.executable, "-B", "-m", "unittest"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert normalise.broken(normalise.error(done.stderr))


def test_the_order_of_failures_says_nothing() -> None:
    lines = [f"FAILED tests/test_a.py::test_{name} - assert {n} == 0" for n, name in enumerate("abc")]
    assert normalise.error("\n".join(lines)) == normalise.error("\n".join(reversed(lines)))


def test_an_error_is_bounded_and_counts_what_it_leaves_out() -> None:
    text = "\n".join(f"FAILED tests/test_a.py::test_{n:04} - {'x' * 40}" for n in range(900))
    error = normalise.error(text)
    assert len(error) <= normalise.MOST
    kept = error.splitlines()
    assert kept[-1] == f"and {900 - len(kept) + 1} more"


def test_an_output_that_says_nothing_is_no_error() -> None:
    assert normalise.error("") == ""
    assert normalise.error("\n \n") == ""
    assert normalise.error("one\ntwo") == "one\ntwo"


def test_replies_that_differ_in_numbers_blanks_and_case_are_the_same() -> None:
    assert normalise.reply("Attempt 3:  run it\n") == normalise.reply("attempt 12: Run  it")
    assert normalise.reply("here\nhere\nhere") == normalise.reply("here")
    assert normalise.reply("run it") != normalise.reply("run that")


HOSTILE = [
    "/a",
    "a",
    "a1",
    "1",
    "tmp_",
    "Error: ",
    "Error.",
    "a(",
    "a:1",
    " ",
    "got ",
    " > ",
    "tmp-",
    "\\a",
    "0x",
]
HOSTILE += ["12:12:", "FAILED a::b", "aaaaaaaa-aaaa-", "E   assert 1 == 1\n", "\n", "\x1b[", "\x00", "\ud800"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_output_costs_little(unit: str) -> None:
    text = unit * (2_000_000 // len(unit))
    began = time.process_time()
    assert len(normalise.error(text)) <= normalise.MOST
    normalise.failures(text)
    normalise.reply(text)
    assert time.process_time() - began < 10  # well under a second; a pattern that is not linear takes hours

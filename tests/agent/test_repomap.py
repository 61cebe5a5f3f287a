"""The map of a repository: what it finds, and that nothing in a repository can hurt it."""

from __future__ import annotations

from orchestrator.agent.repomap import survey


def test_definitions_are_found_with_their_lines() -> None:
    found = survey({"a.py": b"class A:\n    def f(self, x):\n        return x\n"}).facts["a.py"].definitions
    assert [(d.name, d.line, d.last, d.depth) for d in found] == [("A", 1, 3, 0), ("f", 2, 3, 1)]
    assert found[1].signature == "def f(self, x)"

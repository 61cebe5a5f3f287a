"""The form of a graph without its names, so that renamed problems are known as the same problem."""

from __future__ import annotations

import hashlib

_ROUNDS = 4  # any number keeps equal graphs equal; more rounds tell more graphs apart


def graph_form(edges: set[tuple[int, int]], marks: dict[int, str]) -> str:
    """A text that is the same for graphs that differ in the names of their nodes only.

    By colour refinement (Weisfeiler and Leman): some different graphs share a text, equal ones always do.
    """
    after: dict[int, list[int]] = {node: [] for node in sorted({n for e in edges for n in e} | marks.keys())}
    before: dict[int, list[int]] = {node: [] for node in after}
    for one, other in edges:
        after[one].append(other)
        before[other].append(one)
    colours = {node: marks.get(node, "") for node in after}
    for _ in range(_ROUNDS):
        colours = {
            node: hashlib.blake2b(
                f"{colour}>{sorted([colours[n] for n in after[node]])}"
                f"<{sorted([colours[n] for n in before[node]])}".encode(),
                digest_size=6,
            ).hexdigest()
            for node, colour in colours.items()
        }
    return " ".join(sorted(colours.values()))

"""Verbs of systems that are not built yet: each says in one line what it waits for."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.cli.output import Wrong

_WAITS = {
    "train": "the kind `train` and the model wing come first",
    "eval": "the kind `eval` and the model wing come first",
}


def _verb(name: str, why: str) -> Callable[[], None]:
    def verb() -> None:
        raise Wrong(f"`{name}` is not built yet: {why}")

    verb.__doc__ = f"Not built yet.\n\nIt waits: {why}.\n\nExample:\n  jetbox {name}"
    return verb


VERBS = tuple((name, _verb(name, why)) for name, why in _WAITS.items())

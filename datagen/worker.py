"""`python -P -m datagen.worker RUN_DIR`: makes the shards whose numbers come on its standard input.

It tells of its batches and shards on its standard output, and ends at once when whoever started it is gone.
What holds its starter (no network, low priority) holds it too; where no kernel passes that on, its own audit
hook refuses the network.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from datagen import column_run, recipe, request, runlog
from datagen.errors import DataError, RecipeError

_NETWORK = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")


def main(run_dir: Path) -> int:
    """Work until no more numbers come; 1 after an error, which is told."""
    sys.addaudithook(_offline)
    said = _own_output()
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=_hear, args=(numbers,), daemon=True).start()
    try:
        asked = request.read(run_dir)
        chosen = recipe.load(asked.recipe)
        if not recipe.is_columns(chosen):
            raise RecipeError(f"recipe {asked.recipe} has no columns")
        asked = replace(asked, options=recipe.complete(chosen.options, asked.options))
        work = column_run.job(run_dir, chosen, asked)
        while True:
            number = numbers.get()
            shard = column_run.make(work, number, lambda rows: _say(said, {"rows": rows}))
            _say(said, {"number": number, "shard": asdict(shard)})
    except (DataError, OSError) as error:
        _say(said, {"error": runlog.explain(error)})
        return 1


def _hear(numbers: queue.SimpleQueue[int]) -> None:
    for line in sys.stdin:
        numbers.put(int(line))
    os._exit(1)  # nobody is there any more: nothing half-made takes the place of what the next one makes


def _own_output() -> TextIO:
    """The standard output for words alone: what a recipe prints, native code included, goes to the log."""
    own = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # which keeps nothing back
    return os.fdopen(own, "w", encoding="utf-8")


def _say(said: TextIO, word: dict[str, Any]) -> None:
    said.write(json.dumps(word) + "\n")
    said.flush()


def _offline(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        raise PermissionError(f"a run may not use the network ({event})")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

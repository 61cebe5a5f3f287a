"""Gate `python`: every Python file compiles. Nothing of it is run: tests are checks of the project's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from orchestrator.gates.inside import files, main

_LARGEST = 8 * 1024 * 1024  # bytes; a larger one is data in disguise


def check() -> Iterator[str]:
    """A line for each file that does not compile."""
    sources = files(".py", ".pyw")
    if not sources:
        yield "there is no Python file to look at"
    warnings.simplefilter("ignore")  # an odd escape in a string is no error
    for path in sources:
        file = Path(path)
        if file.stat().st_size > _LARGEST:
            yield f"{path}: larger than {_LARGEST // 2**20} MiB"
            continue
        try:
            compile(file.read_bytes(), path, "exec", dont_inherit=True)
        except SyntaxError as error:
            yield f"{path}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            yield f"{path}: {type(error).__name__}: {error}"


if __name__ == "__main__":
    main(check)

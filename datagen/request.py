"""What a data run is asked for: `request.json`, read strictly."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datagen.errors import RequestError
from datagen.files import open_regular

REQUEST = "request.json"
SCHEMA = 1
MAX_SEED = 2**63 - 1
MAX_COUNT = 1_000_000_000
MAX_SHARDS = 10_000
MAX_BYTES = 1024 * 1024
MAX_WORKERS = 256
_KEYS = {"schema", "recipe", "seed", "count", "shards", "options", "workers"}
_OPTIONAL = {"options", "shards", "workers"}


@dataclass(frozen=True)
class Request:
    """So many rows of a recipe by a seed, in so many files."""

    recipe: str
    seed: int
    count: int
    shards: int
    options: dict[str, Any]
    workers: int = 1  # processes that make columns; changes no byte

    def ranges(self) -> list[tuple[int, int]]:
        """Start and stop of the rows of each shard; sizes differ by one at most."""
        cuts = [self.count * number // self.shards for number in range(self.shards + 1)]
        return list(itertools.pairwise(cuts))

    def key(self, version: str) -> str:
        """A name for exactly these bytes: the request, its options complete, and the recipe's version."""
        asked = {name: value for name, value in asdict(self).items() if name != "workers"}
        body = json.dumps({**asked, "version": version}, sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


def read(run_dir: Path) -> Request:
    """The request of a run folder; RequestError tells all that is wrong at once."""
    try:
        with open_regular(run_dir / REQUEST) as file:
            body = json.loads(file.read(MAX_BYTES))
    except FileNotFoundError:
        raise RequestError(f"{run_dir} has no {REQUEST}") from None
    except OSError as error:
        raise RequestError(f"{REQUEST} can't be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{REQUEST} is not JSON: {error}") from None
    return parse(body)


def parse(body: Any) -> Request:
    """A request from its JSON."""
    if not isinstance(body, dict):
        raise RequestError(f"{REQUEST} must hold an object")
    problems = [f"no key {name!r}" for name in sorted(body.keys() - _KEYS)]
    problems += [f"{name} is missing" for name in sorted(_KEYS - _OPTIONAL - body.keys())]
    if "schema" in body and body["schema"] != SCHEMA:
        problems.append(f"schema must be {SCHEMA}")
    if not isinstance(body.get("recipe", ""), str):
        problems.append("recipe must be text")
    count = body.get("count", 1)
    limits = {"seed": (0, MAX_SEED), "count": (1, MAX_COUNT), "shards": (1, MAX_SHARDS)}
    limits["workers"] = (1, MAX_WORKERS)
    for name, (low, high) in limits.items():
        value = body.get(name, low)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            problems.append(f"{name} must be a whole number from {low} to {high}")
        elif name == "shards" and isinstance(count, int) and value > max(1, count):
            problems.append("shards must not be more than count")
    if not isinstance(body.get("options", {}), dict):
        problems.append("options must be an object")
    if problems:
        raise RequestError(f"{REQUEST}: " + "; ".join(problems))
    shards, workers = body.get("shards", 1), body.get("workers", 1)
    return Request(body["recipe"], body["seed"], count, shards, body.get("options", {}), workers)

"""What trying a model once has shown, kept for each model by its digest, so that it is tried once.

The file is the person's own, versioned, and a convenience: one that is lost or cannot be read is begun anew.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from state import durable
from state.home import data_home

VERSION = 1
MOST = 200  # models that are remembered; the oldest are forgotten
_lock = threading.Lock()


class Finding(BaseModel):
    """Of one model of one server. Rates are shares from 0 to 1; a negative one was not tried."""

    model_config = ConfigDict(frozen=True, strict=True)

    model: str
    digest: str
    provider: str
    at: int
    """Milliseconds of wall clock."""
    context: int = Field(default=0, ge=0)
    """Tokens from whose beginning it really answered; 0 where that was not tried."""
    claimed: int = Field(default=0, ge=0)
    """The largest context that was tried."""
    schema_rate: float = -1.0
    """Replies that kept to a JSON schema."""
    whole_rate: float = -1.0
    """Edits that came out right as a whole file."""
    blocks_rate: float = -1.0
    """Edits that came out right as SEARCH/REPLACE."""
    whole_file: int = Field(default=0, ge=0)
    """Lines up to which it should rewrite files whole; 0 where edits were not tried."""
    bytes_per_token: float = Field(default=0.0, ge=0)
    """Of code, by the server's own count."""
    visible: float = 0.0
    """Tokens a second that a reader sees, thinking left out."""
    hidden: float = 0.0
    """Share of its tokens that were thinking."""
    repeats: bool = False
    """It chanted in a long reply."""
    notes: tuple[str, ...] = Field(default=(), strict=False)
    """What could not be tried, and why."""

    def says(self) -> tuple[str, ...]:
        """Lines for people."""
        lines = []
        if self.claimed:
            short = "" if self.context >= self.claimed else f" of {self.claimed} that it was given"
            lines.append(f"context: {self.context} tokens{short}")
        lines += [
            f"{name}: {round(100 * rate)} %"
            for name, rate in (
                ("keeps to a schema", self.schema_rate),
                ("edits as a whole file", self.whole_rate),
                ("edits as SEARCH/REPLACE", self.blocks_rate),
            )
            if rate >= 0
        ]
        if self.visible:
            hidden = f", {round(100 * self.hidden)} % of its tokens are thinking" if self.hidden else ""
            lines.append(f"speed: {self.visible:.1f} tokens a second to be seen{hidden}")
        if self.repeats:
            lines.append("repeats itself in long replies")
        return (*lines, *self.notes)


def path() -> Path:
    """Where they are kept."""
    return data_home() / "calibration.json"


def key(provider: str, digest: str) -> str:
    """What a finding is kept under."""
    return f"{provider}/{digest}"


def load(file: Path | None = None) -> dict[str, Finding]:
    """All that are known, by `key`; those of another version or that make no sense are left out."""
    try:
        data = json.loads((file or path()).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict) or data.get("v") != VERSION or not isinstance(data.get("models"), dict):
        return {}
    found = {}
    for name, body in data["models"].items():
        try:
            found[name] = Finding.model_validate(body)
        except ValidationError:
            continue
    return found


def keep(finding: Finding, file: Path | None = None) -> None:
    """Remember one, in the place of what was known of the same model."""
    file = file or path()
    with _lock:
        known = load(file)
        known[key(finding.provider, finding.digest)] = finding
        newest = sorted(known.items(), key=lambda each: each[1].at)[-MOST:]
        body = {"v": VERSION, "models": {name: each.model_dump() for name, each in newest}}
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(file, json.dumps(body, sort_keys=True, indent=1).encode())

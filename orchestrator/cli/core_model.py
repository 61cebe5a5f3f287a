"""What `jetbox core --json` prints, as models, so that `jetbox schema core` can say it exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from state.core import Current


class _Model(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class CorePart(_Model):
    """A part of the version in force."""

    task: Literal["board", "scene", "latents"]
    learner: str
    files: dict[str, str]
    """Names and SHA-256."""
    calibration: dict[str, Any] | None


class CoreWord(_Model):
    """A word on the core: who put which version into force, when and why."""

    seq: int
    at: int
    """Milliseconds of wall clock since 1970."""
    core: str
    before: str | None
    why: str
    """adopt, update or revert."""
    proposal: str
    by: str
    refused: str
    """Why it counts for nothing; empty where a person's seal stands behind it."""


class CoreRefusal(_Model):
    """Somebody tried to change the core, and nothing came of it."""

    seq: int
    at: int
    what: str
    why: str
    by: str


class CorePassed(_Model):
    """A later version whose folder is not what it was."""

    core: str
    why: str


class CoreReport(_Model):
    """The core."""

    core: str | None
    """The version in force; null where there is none."""
    why: str
    """Why there is none, in one line."""
    parent: str | None
    made: dict[str, Any] | None
    parts: dict[str, CorePart]
    history: list[CoreWord]
    refused: list[CoreRefusal]
    passed: list[CorePassed]
    ok: bool
    """Whether a version is in force and nothing was passed over for it."""


def report(found: Current | None) -> CoreReport:
    """The core as it stands; None before the journal is there."""
    from state.core import Current, Standing

    now = found or Current(None, Standing())
    version, said = now.version, now.standing
    return CoreReport.model_validate(
        {
            "core": version.digest if version else None,
            "why": now.why,
            "parent": version.parent if version else None,
            "made": dict(version.made) if version else None,
            "parts": {
                name: {
                    "task": part.task,
                    "learner": part.learner,
                    "files": dict(part.files),
                    "calibration": None if part.calibration is None else dict(part.calibration),
                }
                for name, part in (version.parts if version else {}).items()
            },
            "history": [each._asdict() for each in said.settings],
            "refused": [each._asdict() for each in said.refusals],
            "passed": [{"core": digest, "why": why} for digest, why in now.passed],
            "ok": version is not None and not now.passed,
        }
    )

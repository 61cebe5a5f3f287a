"""A proposal to change the core: why, what it would gain and lose, which layers move, and the way back.

What is shown is the very subject that the digest covers. Whether the candidate is still what its digest names
is looked at beside the screen; until that is known, it cannot be approved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from state.views import Proposal
from tui.context import Context
from tui.lines import Line
from tui.page import Page
from tui.safe_text import fit

if TYPE_CHECKING:
    from state.contract import Sealer
    from state.journal import Journal

SHOWN = frozenset(
    ("change_id", "layer", "part", "goal", "rationale", "evidence", "figures", "expected_effects",
     "difference", "revert_plan", "core", "before")
)  # fmt: skip
"""Parts of the subject that have a place of their own on these pages."""
LOOKING = "the candidate is being verified"
_BETTER_LOW = ("ece", "loss", "error", "brier")  # measures of which less is better
_BAR = 16
_ROWS = 64  # of a table
_BIG = 1e12  # a figure beyond it is none
_MEASURED = "measured, not a model's words: "


class Candidates:
    """Whether candidates are what their digests name; each is read once, beside the screen."""

    def __init__(self, context: Context, changed: Callable[[], None]) -> None:
        self._context, self._changed = context, changed
        self._found: dict[str, str] = {}

    def problem(self, proposal: Proposal) -> str:
        """Why the candidate of a proposal cannot be used, or ''."""
        known = self._found.get(proposal.digest)
        if known is not None:
            return known
        self._found[proposal.digest] = LOOKING
        workspace, wanted = self._context.workspace, proposal.subject.get("core")
        folder = workspace.run(proposal.ticket, proposal.attempt) / "candidate"

        def look(journal: Journal, sealer: Sealer) -> object:
            from state import core

            try:
                core.read(folder, str(wanted), named=False)
            except core.CoreRefused as error:
                return f"its candidate does not verify: {error}"
            return ""

        def found(why: object) -> None:
            self._found[proposal.digest] = str(why)
            self._changed()

        self._context.examine(look, found)
        return self._found[proposal.digest]


def asks(proposal: Proposal) -> list[str]:
    """What the sheet says that asks for the second key."""
    subject = proposal.subject
    back = _mapping(subject.get("revert_plan")).get("command", "")
    return [
        proposal.summary,
        f"Core {_short(subject.get('before'))} becomes {_short(subject.get('core'))}. Back by `{back}`.",
    ]


def summary(page: Page, proposal: Proposal) -> None:
    """Why, on what grounds, and the way back."""
    subject, look = proposal.subject, page.look
    rationale = str(subject.get("rationale", ""))
    measured = rationale.startswith(_MEASURED)
    page.head("Why, as it was measured" if measured else "Why, in words of whoever proposed it")
    page.text(rationale.removeprefix(_MEASURED))
    lost = [row for row in _rows(subject.get("expected_effects")) if _gain(row) < 0]
    page.head("Effects")
    rows = _rows(subject.get("expected_effects"))
    if not rows:
        page.item(look.g.unknown, "waiting", "none was measured")
    for row in sorted(rows, key=_gain)[:3]:
        page.lines.append(_effect(page, row))
    told = f"{len(lost)} of {len(rows)} lose something" if lost else "nothing loses"
    page.text(f"{told}: tab opens all, and the difference by layer", "failed" if lost else "muted")
    plan = _mapping(subject.get("revert_plan"))
    page.head("Way back")
    rehearsed = str(plan.get("rehearsed") or "")
    glyph, role = (look.g.tick, "landed") if rehearsed else (look.g.unknown, "waiting")
    page.item(glyph, role, f"{plan.get('command', '')}", rehearsed or "not rehearsed")
    page.head("Evidence")
    for name, value in _mapping(subject.get("evidence")).items():
        held = _mapping(value)
        if held:
            told = ", ".join(f"{key} {each}" for key, each in held.items() if key != "digest")
            page.field(str(name), told, "muted")
            if held.get("digest"):
                page.field("", str(held["digest"]), "faint")
        else:
            page.field(str(name), str(value), "faint")
    page.head("Core")
    for label, key in (("part", "part"), ("change", "change_id"), ("before", "before"), ("after", "core")):
        if subject.get(key):
            page.field(label, str(subject[key]), "muted")


def effects(page: Page, proposal: Proposal) -> None:
    """The table of effects, and the difference by layer."""
    subject, look = proposal.subject, page.look
    page.head("Expected effects")
    rows = _rows(subject.get("expected_effects"))
    wide, each = _columns(page)
    heads = "".join(f"{word:>{each}}" for word in ("before", "after", "change", "rows"))
    page.lines.append([(f" {'':<{wide}}{heads}", look("faint"))])
    for row in rows:
        page.lines.append(_effect(page, row))
    if not rows:
        page.item(look.g.unknown, "waiting", "none was measured")
    for name, value in _mapping(subject.get("figures")).items():
        page.field(str(name).replace("_", " "), _value(_number(value)), "muted")
    page.head("Difference by layer")
    layers = _rows(subject.get("difference"))
    most = max((_number(row.get("share")) for row in layers), default=0.0)
    if not layers:
        page.text("No layer is named.", "muted")
    for row in layers:
        page.lines += _layer(page, row, most)
    named = subject.get("layer")
    if isinstance(named, list) and named:
        page.text(f"Most of it: {', '.join(str(each) for each in named[:8])}", "muted")


def _columns(page: Page) -> tuple[int, int]:
    """Cells for a row's name, and for each of its four figures."""
    each = 9 if page.cells >= 64 else 7
    return max(10, min(34, page.cells - 4 * each)), each


def _effect(page: Page, row: Mapping[str, Any]) -> Line:
    """One measure before and after; what is lost is red, and has a minus."""
    look, (wide, each) = page.look, _columns(page)
    before, after = _number(row.get("before")), _number(row.get("after"))
    gain = _gain(row)
    role = "failed" if gain < 0 else "landed" if gain > 0 else "muted"
    name = fit(look.clip(f"{row.get('task', '')}, {row.get('measure', '')}", wide - 1), wide)
    change = f"{(after - before) * 100:+.1f}" if _is_share(before, after) else f"{after - before:+.3g}"
    rows = row.get("rows")
    count = f"{rows:,}" if type(rows) is int and 0 <= rows < 10**7 else look.g.dash
    return [
        (" ", look()),
        (name, look("failed" if gain < 0 else "text")),
        (f"{_value(before):>{each}}{_value(after):>{each}}", look("text")),
        (f"{change[: each - 1]:>{each}}", look(role, bold=gain < 0)),
        (f"{count:>{each}}", look("muted")),
    ]


def _layer(page: Page, row: Mapping[str, Any], most: float) -> list[Line]:
    look = page.look
    share = max(0.0, _number(row.get("share")))
    full = round(min(1.0, share / most) * _BAR) if most > 0 else 0
    sides = row.get("shape")
    shape = "x".join(str(each) for each in sides[:8]) if isinstance(sides, list) else ""
    name = look.clip(str(row.get("layer", "")), max(10, page.cells - len(shape) - 3))
    largest = _number(row.get("largest"))
    return [
        [(f" {name}", look("text")), (f"  {look.clip(shape, 24)}", look("faint"))],
        [
            ("   ", look()),
            (look.g.full * full, look("review")),
            (look.g.empty * (_BAR - full), look("line")),
            (f" {share:.2%}, at most {largest:.2g}", look("muted")),
        ],
    ]


def _gain(row: Mapping[str, Any]) -> float:
    """How much better it gets; below zero: worse."""
    change = _number(row.get("after")) - _number(row.get("before"))
    less = any(low in str(row.get("measure", "")).lower() for low in _BETTER_LOW)
    return -change if less else change


def _is_share(*values: float) -> bool:
    return all(0 <= value <= 1 for value in values)


def _value(value: float) -> str:
    return f"{value:.1%}" if _is_share(value) else f"{value:.4g}"


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if -_BIG < value < _BIG else 0.0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: Any) -> Sequence[Mapping[str, Any]]:
    return [each for each in value[:_ROWS] if isinstance(each, Mapping)] if isinstance(value, list) else []


def _short(digest: Any) -> str:
    return str(digest)[:12] if digest else "none"

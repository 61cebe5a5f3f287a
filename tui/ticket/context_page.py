"""The context ledger of a call: what its prompt was made of, what that cost, and what was left out."""

from __future__ import annotations

from state.agent_view import LEDGER, Call, Ledger, Part, ledger
from state.blobs import BlobDamaged, Blobs
from tui.lines import Line
from tui.page import Page
from tui.safe_text import fit

_BAR = 12  # cells of a share
_FIGURE = 9


def context_page(page: Page, call: Call | None, blobs: Blobs) -> Page:
    """Write the ledger of a call; what cannot be read is said."""
    look = page.look
    page.title("What the model was shown")
    if call is None or not call.ledger:
        page.gap()
        page.text("No reply is recorded yet: the ledger of a call comes with its reply.", "muted")
        return page
    try:
        found = ledger(blobs.get(call.ledger, LEDGER))
    except (BlobDamaged, ValueError, RecursionError) as error:
        page.gap()
        page.item(look.g.cross, "failed", f"The ledger cannot be read: {error}")
        return page
    page.text(f"Turn {call.number} {look.g.dot} {call.who}", "muted")
    page.gap()
    _sums(page, call, found)
    page.gap()
    whole = max(1, found.estimated, sum(part.tokens for part in found.parts))
    for part in sorted(found.parts, key=lambda part: -part.tokens):
        page.lines.append(_row(page, part, whole))
    if found.left_out:
        page.head("Left out")
        for part in found.left_out:
            page.item(
                look.g.dot,
                "waiting",
                f"{part.name}, {part.tokens:,} tokens",
                f"({part.why})" if part.why else "",
            )
    return page


def _sums(page: Page, call: Call, found: Ledger) -> None:
    budget = f" of a budget of {found.budget:,}" if found.budget else ""
    context = f", the model has {found.context:,}" if found.context else ""
    page.field("estimated", f"{found.estimated:,} tokens{budget}{context}")
    if call.prompt:
        cached = f", {call.cached:,} of them from its prefix cache" if call.cached else ""
        page.field("counted", f"{call.prompt:,} by the server{cached}", "muted")


def _row(page: Page, part: Part, whole: int) -> Line:
    """Name, tokens, and their share as a bar and a figure."""
    look = page.look
    share = min(1.0, part.tokens / whole)
    full = round(share * _BAR)
    name = fit(look.text(part.name), max(8, page.cells - _BAR - _FIGURE - 8), look.g.ellipsis)
    return [
        (" ", look()),
        (name, look()),
        (f"{part.tokens:>{_FIGURE},}  ", look("muted")),
        (look.g.full * full, look("accent")),
        (look.g.empty * (_BAR - full), look("line")),
        (f" {share:>4.0%}", look("muted")),
    ]

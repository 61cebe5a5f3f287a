"""A question that an agent asks: its options by number, the one it recommends, and the one that is marked.

Nothing is answered by being marked. The mark begins on what the agent recommends; `a` says it, once it was
painted and the keyboard was quiet.
"""

from __future__ import annotations

from state.views import Proposal
from tui.page import Page
from tui.safe_text import wrap


def has_options(proposal: Proposal) -> bool:
    """Whether it wants an answer, and not a yes."""
    return bool(proposal.subject.get("options"))


def options(proposal: Proposal) -> list[str]:
    """What may be answered; empty where the options have no such form: then words of one's own do."""
    found = proposal.subject.get("options")
    if not isinstance(found, list) or not all(isinstance(each, str) and each.strip() for each in found):
        return []
    return found


def recommended(proposal: Proposal) -> int:
    """The index of the option that the agent recommends; -1 where it names none that there is."""
    at, count = proposal.subject.get("recommended"), len(options(proposal))
    return at if isinstance(at, int) and not isinstance(at, bool) and 0 <= at < count else -1


def question(page: Page, proposal: Proposal, chosen: int) -> None:
    """Write the question's options and how to answer."""
    look = page.look
    asked = proposal.subject.get("question")
    if isinstance(asked, str) and asked.strip() != proposal.summary.strip():
        page.head("Question")
        page.text(asked)
    page.head("Answers")
    best = recommended(proposal)
    for at, text in enumerate(options(proposal)):
        here = at == chosen
        back = "raised" if here else "bg"
        mark = f"{look.g.shut if here else ' '} {at + 1}  "
        whole = text + ("  (recommended)" if at == best else "")
        for row, part in enumerate(wrap(look.text(whole), max(8, page.cells - 6))):
            head = mark if row == 0 else " " * len(mark)
            page.lines.append(
                [
                    (" ", look()),
                    (head, look("accent", back, bold=here)),
                    (f"{part} ", look("text", back, bold=here)),
                ]
            )
    page.gap()
    how = "tab marks another, a answers with the marked one, e answers in your own words"
    page.text(how if options(proposal) else "e answers in your own words", "muted")

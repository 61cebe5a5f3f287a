"""A card's lines: what a ticket is, how far it is, and why it stands still."""

from __future__ import annotations

import json

from rich.segment import Segment
from rich.style import Style

from state.views import Card
from tui.draw import Piece, segments
from tui.look import Look
from tui.safe_text import width, wrap
from tui.times import clock, eta

ROOMY, COMPACT = 6, 4
"""Lines a card takes with the gap below it."""

_BAR = 10  # cells of a progress bar at most


def card_lines(
    card: Card, look: Look, cells: int, unit: int, *, selected: bool, asks: bool, now: int
) -> list[list[Segment]]:
    """The lines of a card in so many cells, its gap left out."""
    back = "raised" if selected else "card"
    role = "waiting" if asks else card.state
    edge = (look.g.edge, look("accent" if selected else role, back, bold=selected))
    ground = look("text", back)
    inner = cells - 3  # the edge, a space after it, one at the end

    def row(left: list[Piece], right: list[Piece]) -> list[Segment]:
        pieces = [edge, (" ", ground), *left]
        return segments(cells, ground, pieces, [*right, (" ", ground)], look.g.ellipsis)

    lines = [row(*_head(card, look, inner, back, role, asks, unit))]
    room = unit - 3  # lines between the head and the foot
    note = _note(card)
    if unit == COMPACT:
        lines.append(row([(look.clip(card.goal or note, inner), ground)], []))
        if note and card.goal:
            lines.append(row([(look.clip(note, inner), _tone(look, role, back))], []))
        else:
            lines.append(row(*_foot(card, look, inner, back, now)))
        return lines
    least = min(2, len(wrap(look.text(note), inner, 2))) if note else 0
    goal = wrap(look.text(card.goal), inner, room - least, look.g.ellipsis) if card.goal else ()
    lines += [row([(text, ground)], []) for text in goal]
    if note:
        told = wrap(look.text(note), inner, room - len(goal), look.g.ellipsis)
        lines += [row([(text, _tone(look, role, back))], []) for text in told]
    lines += [row([], []) for _ in range(room + 1 - len(lines))]
    lines.append(row(*_foot(card, look, inner, back, now)))
    return lines


def _head(
    card: Card, look: Look, inner: int, back: str, role: str, asks: bool, unit: int
) -> tuple[list[Piece], list[Piece]]:
    word = "needs you" if asks else card.state
    glyph = look.glyph("asks" if asks else card.state)
    style = look(role, back)
    if card.asked:
        word = f"{card.asked} asked"
    id_ = look.text(card.id)
    if asks and not card.asked and width(id_) + 3 + width(word) > inner:
        word = "asks you"
    if width(id_) + 3 + width(word) > inner:  # the number alone leaves room for the word
        id_ = id_.rpartition("-")[2]
    left: list[Piece] = [(f"{glyph} ", style), (id_, look("text", back, bold=True))]
    if unit == COMPACT and (checks := _checks(card, look, back)):
        size = sum(width(text) for text, _ in checks)
        if width(id_) + 5 + width(word) + size <= inner:
            return [*left, (f"  {word}", style)], checks
    return left, [(word, style)]


def _foot(card: Card, look: Look, inner: int, back: str, now: int) -> tuple[list[Piece], list[Piece]]:
    muted = look("muted", back)
    right = _checks(card, look, back)
    if card.state == "running" and card.progress is not None:
        told = f" {card.progress:.0%} {eta(card.eta_low, card.eta_high, look.g.dash)}"
        room = inner - width(told) - sum(width(text) for text, _ in right) - 1
        bar = max(0, min(_BAR, room))
        full = round(bar * max(0.0, min(1.0, card.progress)))
        return [
            (look.g.full * full, look("running", back)),
            (look.g.empty * (bar - full), look("faint", back)),
            (told, muted),
        ], right
    who = f" {look.g.dot} ".join(look.text(part) for part in (card.kind, card.persona) if part)
    if card.state in ("landed", "failed", "cancelled"):
        who = f"{clock(card.since, now)} {look.g.dot} {who}" if inner >= 30 else clock(card.since, now)
    return [(who, muted)], right


def _checks(card: Card, look: Look, back: str) -> list[Piece]:
    """`3/4`: green of all, with a cross where one is red."""
    total = card.green + card.red + card.unknown
    if not total:
        return []
    if card.red:
        return [
            (f"{look.g.cross}{card.red} ", look("failed", back)),
            (f"{card.green}/{total}", look("muted", back)),
        ]
    if card.green == total:
        return [(f"{look.g.tick} {card.green}/{total}", look("landed", back))]
    return [(f"{card.green}/{total}", look("muted", back))]


def _note(card: Card) -> str:
    """The line that says why a ticket stands where it stands."""
    if card.state == "backlog" and not card.note and card.needs not in ("", "[]"):
        return "needs " + ", ".join(map(str, json.loads(card.needs)))
    if card.state in ("running", "ready") or card.note == "landed":
        return ""
    if card.state == "broken":  # the card names the file already
        return card.note.partition(".yaml:")[2] or card.note
    return card.note.removesuffix(card.goal).rstrip(": ") if card.goal else card.note


def _tone(look: Look, role: str, back: str) -> Style:
    return look("muted" if role in ("backlog", "cancelled", "landed") else role, back)


def strip_line(card: Card, look: Look, cells: int, *, selected: bool, asks: bool) -> list[Segment]:
    """A card in a strip: glyph and number."""
    back = "raised" if selected else "bg"
    number = look.text(card.id.rpartition("-")[2])
    role = "waiting" if asks else card.state
    glyph = look.glyph("asks" if asks else card.state)
    pieces: list[Piece] = [(f" {glyph} ", look(role, back)), (number, look("muted", back))]
    return segments(cells, look("text", back), pieces, [], look.g.ellipsis)

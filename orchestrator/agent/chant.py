"""Hears when a model repeats itself without end, while it still speaks, so that the call can be cancelled.

    chant = Chant()
    for piece in stream:
        if chant.hear(piece): ...          # chant.why says what was heard

One pass over the stream in bounded memory, whatever the pieces are cut into. A symbol is a character in lower
case, a run of blanks, or a number; 4,096 of them are remembered. Two things are heard:

* *a period*: the text equals itself some symbols ago, for long enough. How long is enough depends on what
  repeats (`_LIMITS`): prose soon, code later, zeros and rules of a table later still. Numbers may count on,
  "step 41, step 42"; rows whose numbers change in another way are data. A long period must come three times,
  since a text that is quoted and then written out stands there twice.
* *a worn vocabulary*: phrases in ever other order, each said three times or more within the window. Only what
  is prose through and through is judged so.
"""

from __future__ import annotations

from collections.abc import Sequence

PERIOD = 2_048
"""The longest period that is heard, in symbols."""

_WINDOW = 4_096  # symbols that are remembered
_GRAM = 24  # symbols that must agree before a period is believed: longer than an indent
_PHRASE = 8  # symbols that are one part of a vocabulary: about a word, as longer ones span phrases
_LOOK = 200  # length of a repetition at which it is looked at what repeats
# How many symbols repeat beyond the first period, where numbers stay and where they count up.
_LIMITS = {"prose": 500, "code": 1_200, "data": 3_000, "rule": 1_500}
_COUNTS = {"prose": 700, "code": 12_000, "data": 6_000, "rule": 6_000}
_BLANK = 1_500  # blanks in a row
_NUMBER = -1  # the symbol of every number
_DIGITS = 18  # of one number; more of them are characters
_SIGNS = 0.1  # of prose are signs of code at most
_PURE = 0.02  # the same, of what is judged by its vocabulary: listings of declarations wear theirs out too
_CODE = frozenset(map(ord, "()[]{}=<>\"'`|_/\\;&#$%^~+@"))
_SPACE = ord(" ")
_WORN = 2  # times that a gram was there before
_SPAN = 1_200  # symbols whose grams are counted
_SHARE = 0.95  # of them are worn
_BASE, _PRIME = 1_000_003, (1 << 61) - 1


class Chant:
    """One stream, heard from its beginning."""

    def __init__(self) -> None:
        self.why = ""
        """What was heard, in one line; empty before."""
        self._count = 0  # symbols so far
        self._symbols = [0] * _WINDOW
        self._values = [0] * _WINDOW  # of numbers
        self._plain = _Grams(_GRAM)  # numbers are all alike
        self._exact = _Grams(_PHRASE)  # numbers are what they are
        self._worn = bytearray(_SPAN)
        self._worn_sum = 0
        self._lag = self._run = self._next = 0
        self._counts = False  # numbers differ from one period to the next
        self._steps: set[int] = set()
        self._blanks = 0
        self._digits = self._value = 0

    def hear(self, text: str) -> bool:
        """Take the next piece; True from the moment on that the stream chants."""
        for char in text:
            if self.why:
                break
            if "0" <= char <= "9" and self._digits < _DIGITS:
                self._value = self._value * 10 + ord(char) - 48
                self._digits += 1
                self._blanks = 0
                continue
            if self._digits and not "0" <= char <= "9":
                self._take(_NUMBER, self._value)
                self._digits = self._value = 0
            if char.isspace():
                self._blanks += 1
                if self._blanks == 1:
                    self._take(_SPACE, 0)
                elif self._blanks == _BLANK:
                    self.why = "nothing but blanks"
            else:
                self._blanks = 0
                self._take(ord(char) | 32 if "A" <= char <= "Z" else ord(char), 0)
        return bool(self.why)

    def _take(self, symbol: int, value: int) -> None:
        """One more symbol: go on with the period that holds, or look for one."""
        at = self._count % _WINDOW
        if self._lag:
            self._follow(symbol, value)
        self._symbols[at], self._values[at] = symbol, value
        before = self._plain.add(self._count, symbol + 2)
        self._exact.add(self._count, symbol + 2 + value * 1_114_112)  # beyond every character
        self._count += 1
        if not self._lag and before >= 0 and self._count - 1 - before <= PERIOD:
            self._lag, self._run, self._next = self._count - 1 - before, _GRAM, _LOOK
            self._counts = False
            self._steps.clear()
        self._wear()

    def _follow(self, symbol: int, value: int) -> None:
        """Whether the period goes on, and whether it has lasted too long."""
        then = (self._count - self._lag) % _WINDOW
        if symbol != self._symbols[then] or not self._steady(symbol, value - self._values[then]):
            self._lag = 0
            return
        self._run += 1
        if self._run < self._next:
            return
        kind = _kind(self._last(self._lag))
        limit = max((_COUNTS if self._counts else _LIMITS)[kind], 2 * self._lag)
        if self._run >= limit:
            how = "counting on" if self._counts else "the same"
            self.why = f"{how} every {self._lag} characters, for {self._run + self._lag}"
        self._next = limit

    def _steady(self, symbol: int, step: int) -> bool:
        """Whether a number goes on as numbers do that count: by none, by one, or by one other step."""
        if symbol != _NUMBER or not step:
            return True
        self._counts = True
        if abs(step) != 1:
            self._steps.add(step)
        return len(self._steps) <= 1

    def _wear(self) -> None:
        """Keep the share of worn grams, and look at it now and then."""
        at = self._count % _SPAN
        worn = self._exact.times > _WORN
        self._worn_sum += worn - self._worn[at]
        self._worn[at] = worn
        if (
            self._worn_sum >= _SHARE * _SPAN
            and self._count % 64 == 0
            and _kind(self._last(_SPAN), _PURE) == "prose"
        ):
            self.why = f"the same few phrases for {_SPAN} characters"

    def _last(self, count: int) -> list[int]:
        return [self._symbols[at % _WINDOW] for at in range(self._count - count, self._count)]


class _Grams:
    """The grams of the window: where each was last, and how often it is there."""

    def __init__(self, length: int) -> None:
        self.times = 0
        """How often the newest gram is in the window, itself included."""
        self._length, self._drop = length, pow(_BASE, length, _PRIME)
        self._symbols = [0] * length  # the newest gram
        self._hash = 0
        self._hashes = [0] * _WINDOW
        self._where: dict[int, tuple[int, int]] = {}  # hash -> last place, how often

    def add(self, count: int, symbol: int) -> int:
        """Take symbol number `count` in; where the gram that it ends was before, or -1."""
        oldest = count % self._length
        self._hash = (self._hash * _BASE + symbol - self._symbols[oldest] * self._drop) % _PRIME
        self._symbols[oldest] = symbol
        if count < self._length:
            return -1
        at = count % _WINDOW
        if count >= _WINDOW + self._length:
            gone = self._hashes[at]
            place, times = self._where[gone]
            if times == 1:
                del self._where[gone]
            else:
                self._where[gone] = (place, times - 1)
        self._hashes[at] = self._hash
        before, times = self._where.get(self._hash, (-1, 0))
        self._where[self._hash] = (count, times + 1)
        self.times = times + 1
        return before


def _kind(symbols: Sequence[int], signs: float = _SIGNS) -> str:
    """What some text is made of: prose, code, data, or a rule (one or two signs again and again)."""
    solid = [each for each in symbols if each not in (_SPACE, _NUMBER)]
    if not solid:
        return "rule" if len(symbols) <= 2 and _NUMBER not in symbols else "data"
    letters = sum(chr(each).isalpha() for each in solid)
    if letters < 0.3 * len(solid):
        return "rule" if len(symbols) <= 2 else "data"
    foreign = sum(each > 127 for each in solid)  # scripts that put no space between words
    words = len(solid) < len(symbols) or foreign > len(solid) / 2
    if words and sum(each in _CODE for each in solid) <= signs * len(solid) and letters >= 0.7 * len(solid):
        return "prose"
    return "code"

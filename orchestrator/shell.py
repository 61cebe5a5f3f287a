"""The simple commands that a shell line would run, read without running anything.

POSIX shell with what people use of bash. It gives every command of pipelines, lists, blocks, subshells and
substitutions, or raises `Unreadable`; it never guesses past what it does not understand. Time is linear in
the line, for any line. It serves comfort (telling a person what is new), it is no boundary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 16_384
"""Characters that are read; a longer line is `Unreadable`."""
DEEPEST = 24
"""How deep substitutions and blocks may nest; it bounds Python's own stack."""

_ENDS_WORD = " \t\r\n;&|()"
_REDIRECT = re.compile(r"<<<|<<-?|<>|<&|<|>>|>\||>&|>")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_LONGEST_SUM = 500  # characters of one $((...)): looking for its end must not cost more than reading it


def words(text: str) -> frozenset[str]:
    """A set of words, as tables of them are written."""
    return frozenset(text.split())


_KEYWORDS = words("if then elif else fi do done while until { } ! esac coproc for select case [[ function")


class Unreadable(ValueError):
    """The line cannot be read as shell: a quote or bracket is open, or it is out of all proportion."""


@dataclass(frozen=True)
class Word:
    """One word, its quotes taken off. `sure` is False where part of it only shows when it runs."""

    text: str
    sure: bool = True


Command = tuple[Word, ...]


def commands(line: str) -> list[Command]:
    """Every simple command of the line, with the words before it (`A=1`) and without its redirections.

    Raises:
        Unreadable: it cannot be told what would run.
    """
    if len(line) > LONGEST or "\0" in line:
        raise Unreadable("too long, or not text")
    found: list[Command] = []
    _Reader(line, found, 0).read("")
    return found


class _Reader:
    """One pass over a text; commands of nested texts go to the same list."""

    def __init__(self, text: str, found: list[Command], depth: int) -> None:
        self.text, self.at, self.found, self.depth = text, 0, found, depth
        self.documents: list[tuple[str, bool, bool]] = []  # end line, expanded, tabs stripped

    # Lists of commands ---------------------------------------------------------------------------

    def read(self, end: str) -> None:
        """Read commands up to and over `end`: a closing bracket, or '' for the end of the text."""
        self._enter()
        words: list[Word] = []
        header, cases = False, 0  # in `for x in ...`, whose words are no command; open `case`s

        def flush() -> None:
            nonlocal header
            if words and not header:
                self.found.append(tuple(words))
            words.clear()
            header = False

        while True:
            self._blanks()
            char = self._peek()
            if char == "" or char == ")":
                if char != end or cases:
                    raise Unreadable("a bracket or a block is open")
                flush()
                self.at += 1
                self.depth -= 1
                return
            if char == "#":
                self._to_line_end()
            elif char == "\n":
                self.at += 1
                flush()
                self._documents()
            elif self.text.startswith("&>", self.at):
                self.at += 2
                self.at += self._peek() == ">"
                self._target()
            elif char in ";&|":
                self.at += 1
                flush()
                if char == ";" and self._peek() in (";", "&") and cases:
                    self.at += 2 if self.text.startswith(";&", self.at) else 1
                    cases -= self._pattern()
            elif char == "(":
                self._bracket(words, header)
            elif char in "<>" and not self.text.startswith("(", self.at + 1):
                self._redirect()
            else:
                start = self.at
                word = self._word()
                plain = self.text[start : self.at]
                if self._peek() in ("<", ">") and (plain.isdigit() or re.fullmatch(r"\{\w+\}", plain)):
                    continue  # the number of a descriptor
                if self._peek() == "(" and plain.endswith("="):
                    self._array()
                if header and plain == "do":
                    words.clear()
                    header = False
                elif words or header or plain not in _KEYWORDS:
                    words.append(Word(plain) if plain == "[" else word)
                elif plain in ("for", "select"):
                    header = True
                elif plain == "case":
                    cases += 1 - self._case()
                elif plain == "esac":
                    cases -= 1
                elif plain == "[[":
                    self._test()
                    words.append(Word(plain))
                elif plain == "function":
                    self._blanks()
                    self._word()

    def _bracket(self, words: list[Word], header: bool) -> None:
        """A subshell, the head of a function, or the sum of a `for ((...))`."""
        if header:
            end = self._sum_end(self.at)
            if not self.text.startswith("((", self.at) or end is None:
                raise Unreadable("a bracket where none belongs")
            self.at = end
            return
        self.at += 1
        if not words:
            self.read(")")
            return
        self._blanks()
        if self._peek() != ")" or len(words) != 1:
            raise Unreadable("a bracket where none belongs")
        self.at += 1
        words.clear()

    def _case(self) -> bool:
        """Over `case WORD in` and the first pattern; True when that was the end already."""
        self._blanks()
        self._word()
        self._gap()
        if not re.match(r"in(?=[\s(])", self.text[self.at : self.at + 3]):
            raise Unreadable("a case without its in")
        self.at += 2
        return self._pattern()

    def _pattern(self) -> bool:
        """Over `PATTERN)`, or over `esac`: then True."""
        self._gap()
        if re.match(r"esac(?![\w])", self.text[self.at : self.at + 5]):
            self.at += 4
            return True
        self.at += self._peek() == "("
        while True:
            self._blanks()
            char = self._peek()
            if char == ")":
                self.at += 1
                return False
            if char == "|":
                self.at += 1
            elif char == "" or char in _ENDS_WORD or char in "<>":
                raise Unreadable("a case without a pattern")
            else:
                self._word()

    def _test(self) -> None:
        """Over `[[ ... ]]`, where `&&`, `<` and brackets are part of the test."""
        while True:
            self._gap()
            char = self._peek()
            if char == "":
                raise Unreadable("a test is open")
            if char in "&|();" or (char in "<>" and not self.text.startswith("(", self.at + 1)):
                self.at += 1
                continue
            start = self.at
            self._word()
            if self.text[start : self.at] == "]]":
                return

    def _array(self) -> None:
        """Over the `(...)` of `NAME=(...)`."""
        self.at += 1
        while True:
            self._gap()
            char = self._peek()
            if char == ")":
                self.at += 1
                return
            if char == "" or char in _ENDS_WORD:
                raise Unreadable("an array is open")
            self._word()

    # Redirections --------------------------------------------------------------------------------

    def _redirect(self) -> None:
        sign = _REDIRECT.match(self.text, self.at)
        assert sign is not None  # the caller saw its first character
        self.at = sign.end()
        self._blanks()
        start = self.at
        word = self._target()
        if sign[0] in ("<<", "<<-"):
            quoted = any(mark in self.text[start : self.at] for mark in "'\"\\")
            self.documents.append((word.text, not quoted, sign[0] == "<<-"))

    def _target(self) -> Word:
        self._blanks()
        return self._word()

    def _documents(self) -> None:
        """Over the here-documents that begin on this line; what is expanded in them is read."""
        for end, expanded, tabs in self.documents:
            start = stop = self.at
            while self.at < len(self.text):
                stop = self.at
                self._to_line_end()
                line = self.text[stop : self.at]
                self.at += 1
                if (line.lstrip("\t") if tabs else line) == end:
                    break
                stop = self.at
            if expanded:
                _Reader(self.text[start:stop], self.found, self.depth).document()
        self.documents.clear()

    def document(self) -> None:
        """Read the expansions of a here-document's text."""
        self._enter()
        while self.at < len(self.text):
            self._quoted_char([])

    # Words ---------------------------------------------------------------------------------------

    def _word(self) -> Word:
        """One word; that there is one keeps every loop here going forward."""
        start = self.at
        parts: list[str] = []
        sure = True
        while char := self._peek():
            if char in _ENDS_WORD:
                break
            if char in "<>":
                if not self.text.startswith("(", self.at + 1):
                    break
                self.at += 2
                self.read(")")
                sure = False
            elif char == "\\":
                if self.at + 1 >= len(self.text):
                    raise Unreadable("it ends within a word")
                parts.append(self.text[self.at + 1].replace("\n", ""))
                self.at += 2
            elif char == "'":
                end = self._find("'", self.at + 1)
                parts.append(self.text[self.at + 1 : end])
                self.at = end + 1
            elif char == '"':
                sure = self._double(parts) and sure
            elif char == "`":
                self._backtick()
                sure = False
            elif char == "$":
                sure = self._dollar(parts, quoted=False) and sure
            else:
                if char in "*?[" or (char == "{" and self._peek(1) not in ("}", "", " ", "\t", "\n")):
                    sure = False  # names of files that are not known yet, or several words in one
                parts.append(char)
                self.at += 1
        if self.at == start:
            raise Unreadable("a word is missing")
        return Word("".join(parts), sure)

    def _double(self, parts: list[str]) -> bool:
        self.at += 1
        sure = True
        while self._peek() != '"':
            sure = self._quoted_char(parts) and sure
        self.at += 1
        return sure

    def _quoted_char(self, parts: list[str]) -> bool:
        """One character or expansion as between double quotes; False for what is not known yet."""
        char = self._peek()
        if char == "":
            raise Unreadable("a quote is open")
        if char == "$":
            return self._dollar(parts, quoted=True)
        if char == "`":
            self._backtick()
            return False
        if char == "\\" and self._peek(1) in ("$", "`", '"', "\\", "\n"):
            parts.append(self._peek(1).replace("\n", ""))
            self.at += 2
            return True
        parts.append(char)
        self.at += 1
        return True

    def _dollar(self, parts: list[str], *, quoted: bool) -> bool:
        """Over an expansion; True when it was none but a plain `$` or a quote."""
        following = self._peek(1)
        if following == "(":
            if self.text.startswith("((", self.at + 1) and (end := self._sum_end(self.at + 1)) is not None:
                self._inner(self.text[self.at + 3 : end - 2])
                self.at = end
            else:
                self.at += 2
                self.read(")")
            return False
        if following == "{":
            self._brace()
            return False
        if following == "'" and not quoted:
            self.at += 2
            while self._peek() != "'":
                if self._peek() == "":
                    raise Unreadable("a quote is open")
                self.at += 2 if self._peek() == "\\" else 1
            self.at += 1
            return False
        if following == '"' and not quoted:
            self.at += 1
            return self._double(parts)
        if name := _NAME.match(self.text, self.at + 1):
            self.at = name.end()
            return False
        parts.append("$")
        self.at += 1
        return following != "["

    def _brace(self) -> None:
        """Over `${...}`, with the substitutions inside it."""
        self.at += 2
        if self._peek() in (" ", "\t", "\n", "|"):
            raise Unreadable("a substitution of a newer shell")
        self._enter()
        while (char := self._peek()) != "}":
            if char == "'":
                self.at = self._find("'", self.at + 1) + 1
            elif char == '"':
                self._double([])
            elif char == "\\":
                self.at += 2
            else:
                self._quoted_char([])
        self.at += 1
        self.depth -= 1

    def _backtick(self) -> None:
        start = self.at = self.at + 1
        while (char := self._peek()) != "`":
            if char == "":
                raise Unreadable("a quote is open")
            self.at += 2 if char == "\\" else 1
        inner = re.sub(r"\\([`$\\])", r"\1", self.text[start : self.at])
        self.at += 1
        _Reader(inner, self.found, self.depth).read("")

    def _sum_end(self, start: int) -> int | None:
        """Where the `((...))` that begins here ends; None when these brackets are subshells instead."""
        open_ = 0
        for at in range(start, min(len(self.text), start + _LONGEST_SUM)):
            open_ += {"(": 1, ")": -1}.get(self.text[at], 0)
            if open_ == 1 and at > start + 1:  # the inner pair is closed: the outer one has to follow
                return at + 2 if self.text.startswith("))", at) else None
        return None

    def _inner(self, text: str) -> None:
        """The substitutions inside a sum."""
        _Reader(text, self.found, self.depth).document()

    # Characters ----------------------------------------------------------------------------------

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("nested too deep")

    def _peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.text[at] if at < len(self.text) else ""

    def _find(self, mark: str, start: int) -> int:
        at = self.text.find(mark, start)
        if at < 0:
            raise Unreadable("a quote is open")
        return at

    def _blanks(self) -> None:
        while self._peek() in (" ", "\t", "\r") or self.text.startswith("\\\n", self.at):
            self.at += 2 if self._peek() == "\\" else 1

    def _gap(self) -> None:
        """Over blanks, line ends and comments."""
        while True:
            self._blanks()
            if self._peek() == "#":
                self._to_line_end()
            elif self._peek() == "\n":
                self.at += 1
            else:
                return

    def _to_line_end(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

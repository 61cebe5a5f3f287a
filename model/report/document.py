"""A report as parts, and as files: `report.md` with pictures, `report.txt` for a terminal.

The parts are made once; what a picture shows is in the text as well, so nothing is lost in a terminal.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from datagen import files
from model.report import terminal
from model.report.words import COLUMNS, markdown, plain, wrapped

MARKDOWN, TEXT = "report.md", "report.txt"


@dataclass(frozen=True)
class Table:
    """Rows under a head; the first column names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A picture with what stands for it in a terminal."""

    name: str  # of its file, without .png
    title: str
    image: Image.Image
    text: Sequence[str] = ()  # lines of at most 80 columns


@dataclass
class Section:
    """A heading, what it says in sentences, and what it shows."""

    title: str
    says: list[str] = field(default_factory=list)
    shows: list[Table | Picture] = field(default_factory=list)


@dataclass
class Document:
    """A whole report."""

    title: str
    sections: list[Section] = field(default_factory=list)

    def markdown(self) -> str:
        """The text of `report.md`."""
        out = [f"# {markdown(self.title)}", ""]
        for section in self.sections:
            out += [f"## {markdown(section.title)}", ""]
            for sentence in section.says:
                out += [markdown(sentence, 4000), ""]
            for shown in section.shows:
                if isinstance(shown, Table):
                    out += _markdown_table(shown)
                else:
                    out += [f"![{markdown(shown.title)}]({shown.name}.png)", ""]
        return "\n".join(out).rstrip() + "\n"

    def text(self) -> str:
        """The text of `report.txt`, no line wider than 80 columns."""
        title = plain(self.title, COLUMNS)
        out = [title, "═" * len(title), ""]
        for section in self.sections:
            heading = plain(section.title, COLUMNS)
            out += [heading, "─" * len(heading)]
            for sentence in section.says:
                out += wrapped(sentence)
            out.append("")
            for shown in section.shows:
                if isinstance(shown, Table):
                    out += terminal.table(shown.head, shown.rows)
                elif shown.text:
                    out += [plain(shown.title, COLUMNS), *shown.text]
                out.append("")
        return "\n".join(line.rstrip()[:COLUMNS] for line in out).rstrip() + "\n"

    def write(self, folder: Path) -> list[Written]:
        """Write all files of the report into a folder, the pages last."""
        folder.mkdir(parents=True, exist_ok=True)
        pictures = [each for section in self.sections for each in section.shows if isinstance(each, Picture)]
        written = [put(folder / f"{each.name}.png", _png(each.image), each.title) for each in pictures]
        written.append(put(folder / TEXT, self.text().encode(), f"{self.title} (text)"))
        written.append(put(folder / MARKDOWN, self.markdown().encode(), self.title))
        return written


@dataclass(frozen=True)
class Written:
    """A file of a report that is on disk."""

    path: Path
    sha256: str
    title: str


def put(path: Path, data: bytes, title: str) -> Written:
    """Put a file of a report on disk, whole or not at all."""
    files.replace(path, data)
    return Written(path, hashlib.sha256(data).hexdigest(), plain(title, 120))


def _png(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=6)
    return held.getvalue()


def _markdown_table(table: Table) -> list[str]:
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.rows]
    cells = [[each if number == 1 else markdown(each) for each in row] for number, row in enumerate(lines)]
    return [*("| " + " | ".join(row) + " |" for row in cells), ""]

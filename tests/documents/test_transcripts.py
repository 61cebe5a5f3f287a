"""The runner of documents' commands notices what does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcript import Session, Step, steps

DOCUMENT = """# A page

```console
$ mkdir here && cd here
$ echo one; echo two
one
...
$ false  # exits 1
$ printf 'a %s' \\
    b
a b
```
"""


def test_commands_and_what_they_print_are_read_in_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(DOCUMENT)
    found = steps(page)
    assert [each.command for each in found] == [
        "mkdir here && cd here", "echo one; echo two", "false", "printf 'a %s' b"
    ]  # fmt: skip
    assert [each.exits for each in found] == [0, 0, 1, 0]
    session = Session(tmp_path, tmp_path)
    for each in found:
        session.run(each)
    assert session.folder == (tmp_path / "here").resolve()


@pytest.mark.parametrize(
    "step",
    [Step("echo two", "one", 0), Step("true", "", 1), Step("false", "", 0), Step("echo a b", "a ... c", 0)],
)
def test_what_does_not_hold_is_an_error(step: Step, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Session(tmp_path, tmp_path).run(step)

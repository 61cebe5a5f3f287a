"""What a prompt shows of a repository: within the budget, what the ticket names, and the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.agent.context import Choice, choose
from orchestrator.agent.graph import Graph
from orchestrator.agent.query import ask
from orchestrator.agent.rank import rank
from orchestrator.agent.repomap import survey
from orchestrator.agent.terms import split, stem
from orchestrator.agent.tokens import OVERHEAD, tokens
from orchestrator.agent.treefiles import tree_files
from orchestrator.git import GitError, Repo

ROOT = Path(__file__).parent.parent.parent
SHOP = {
    "shop/basket.py": b"from shop.price import net\n\nclass Basket:\n    def total(self): return net(self)\n",
    "shop/price.py": b'def net(basket):\n    """The sum without tax."""\n    return sum(basket)\n',
    "shop/ship.py": b"def parcel(weight):\n    return weight\n",
    "shop/__init__.py": b"",
    "tests/test_price.py": b"from shop.price import net\n\ndef test_it(): assert net([1]) == 1\n",
    "tests/test_ship.py": b"from shop.ship import parcel\n\ndef test_it(): assert parcel(1) == 1\n",
    "README.md": b"# Shop\n\nTax, net and gross: how tax is taken, tax by tax.\n",
}
BIG = "\n".join(
    f"def part_{n}(a, b):\n    '''Step {n}.'''\n    return a + b + {n}\n" for n in range(900)
).encode()


def shown(choice: Choice) -> list[str]:
    return [path for path, _ in (*choice.files, *choice.outlines)]


def spent(choice: Choice) -> int:
    """Tokens as they are in the prompt, counted anew."""
    parts = [f"{path}\n{text}" for path, text in (*choice.files, *choice.outlines)] + [choice.map or ""]
    return sum(tokens(part) + OVERHEAD for part in parts if part)


def order(goal: str, files: dict[str, bytes] = SHOP, paths: tuple[str, ...] = ()) -> list[str]:
    mapped = survey(files)
    query = ask(goal, (), (), mapped.facts, mapped.graph.defined)
    return [path for path, _ in rank(mapped, query, paths).files]


def test_words_of_a_goal_find_definitions_prose_and_what_refers_to_them() -> None:
    found = order("Leave the tax out of the sum")
    assert found[0] == "shop/price.py"
    assert found.index("shop/basket.py") < len(found)  # holds none of the words, but uses what was found
    assert "shop/ship.py" not in found[:3]


def test_a_test_comes_with_its_module() -> None:
    assert order("parcel by weight")[:2] == ["shop/ship.py", "tests/test_ship.py"]


@pytest.mark.parametrize(
    "goal",
    [
        "tax: see shop/ship.py", "tax, in ship.py:12", "tax like `shop.ship.parcel`", "tax as in shop.ship",
        "tax .\\shop\\ship.py", "tax (./shop/ship.py).",
    ],
)  # fmt: skip
def test_a_file_that_is_named_comes_first(goal: str) -> None:
    assert order(goal)[0] == "shop/ship.py"


def test_a_name_that_many_files_have_names_none() -> None:
    files = {f"p{n}/util.py": b"x = 1\n" for n in range(9)}
    assert ask("see util.py", (), (), files, ()).named == ()
    assert ask("see p3/util.py", (), (), files, ()).named == ("p3/util.py",)


def test_a_definition_that_is_named_raises_its_file() -> None:
    assert order("`parcel` is wrong about tax and net sum")[0] == "shop/ship.py"


def test_the_paths_of_a_ticket_raise_its_files() -> None:
    assert order("make it better", paths=("shop/ship.py",))[0] == "shop/ship.py"
    assert set(order("make it better", paths=("tests/**",))[:2]) == {
        "tests/test_price.py",
        "tests/test_ship.py",
    }


def test_the_command_of_a_check_names_files() -> None:
    mapped = survey(SHOP)
    found = choose(mapped, "make it better", commands=("python -m pytest tests/test_ship.py",), budget=60)
    assert shown(found)[:1] == ["tests/test_ship.py"]


def test_whole_files_while_they_fit_then_outlines_then_the_map() -> None:
    files = {**SHOP, "shop/big.py": BIG, **{f"far/m{n}.py": b"def g(): pass\n" * 40 for n in range(40)}}
    found = choose(survey(files), "net price in big.py part_77, far away", budget=2_000)
    assert dict(found.files)["shop/price.py"] == SHOP["shop/price.py"].decode()
    big = dict(found.outlines)["shop/big.py"]
    line = BIG.decode().split("\n").index("def part_77(a, b):") + 1
    assert (
        f"{line}: def part_77(a, b):\n{line + 1}:     '''Step 77.'''\n{line + 2}:     return a + b + 77"
        in big
    )
    assert "far/m" in found.map
    assert found.left_out


def test_each_line_of_an_outline_is_where_its_number_says() -> None:
    found = dict(choose(survey({"big.py": BIG}), "part_5 and part_600", budget=1_500).outlines)["big.py"]
    lines = BIG.decode().split("\n")
    for row in found.split("\n"):
        number, _, text = row.partition(": ")
        assert lines[int(number) - 1].startswith(text)


ANY = {**SHOP, "big.py": BIG, "odd.py": b"# caf\xe9\n" + BIG[:9_000], "a.json": b'{"tax": 1}\n' * 300}


@settings(max_examples=60, deadline=None)
@given(
    budget=st.integers(-5, 12_000),
    goal=st.text("abctax_ net/.py`()big\n\u00e9", max_size=60),
    named=st.lists(st.sampled_from(sorted(ANY)), max_size=8),
)
def test_the_budget_is_never_exceeded(budget: int, goal: str, named: list[str]) -> None:
    found = choose(survey(ANY, CACHE), goal + " " + " ".join(named), budget=budget)
    assert found.total <= max(budget, 0)
    assert spent(found) <= max(budget, 0)


CACHE: dict[bytes, object] = {}


@settings(max_examples=30, deadline=None)
@given(budget=st.integers(600, 9_000), named=st.sampled_from(sorted(set(ANY) - {"shop/__init__.py"})))
def test_a_named_file_is_always_in(budget: int, named: str) -> None:
    assert named in shown(choose(survey(ANY, CACHE), f"part step tax net {named}", budget=budget))


def test_many_named_files_are_all_in() -> None:
    files = {f"m{n}.py": BIG for n in range(20)}
    assert len(shown(choose(survey(files), " ".join(files), budget=4_000))) == 20


def test_a_file_that_is_not_utf8_is_never_given_as_a_whole_file() -> None:
    found = choose(survey({"odd.py": b"# caf\xe9\ndef f(): pass\n"}), "see odd.py")
    assert found.files == [] and [path for path, _ in found.outlines] == ["odd.py"]


def test_modules_that_import_one_another_are_walked_to_an_end() -> None:
    files = {
        f"mod{n}.py": f"import mod{(n + 1) % 30}\ndef fun{n}(): mod{(n + 1) % 30}.fun{(n + 1) % 30}()\n"
        for n in range(30)
    }
    mapped = survey({path: text.encode() for path, text in files.items()})
    mass = mapped.graph.spread({"mod3.py": 1.0})
    assert 0.9 < sum(mass.values()) <= 1.0 + 1e-9
    assert mass["mod3.py"] == max(mass.values())
    assert choose(mapped, "fun3", budget=500).total <= 500


def test_a_file_that_refers_to_itself_alone_keeps_the_walk() -> None:
    assert Graph.of({"a.py": (["f"], {"f": 3})}).spread({"a.py": 2.0}) == {"a.py": pytest.approx(0.4)}


def test_no_files_and_no_words_are_no_error() -> None:
    assert choose(survey({}), "").total == 0
    assert choose(survey(SHOP), "", budget=500).total <= 500


AGAIN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from orchestrator.agent.context import choose
from orchestrator.agent.repomap import survey
root = Path(sys.argv[1]) / "state"
files = {p.name: p.read_bytes() for p in root.glob("*.py")}
c = choose(survey(files), "append an event to the journal under its chain", ("w*.py",), budget=3000)
print(json.dumps([c.files, c.outlines, c.map, c.left_out, c.tokens]))
"""


def test_the_same_ticket_gives_the_same_bytes_in_each_process() -> None:
    said = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", AGAIN, str(ROOT)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        said.append(done.stdout)
    assert said[0] == said[1]
    files, outlines, *_ = json.loads(said[0])
    assert len(files) + len(outlines) >= 3


@pytest.mark.parametrize(
    ("one", "other"),
    [("merging", "merge"), ("merges", "merge"), ("parser", "parse"), ("stopped", "stop"),
     ("queries", "query"), ("validation", "validate"), ("classes", "class")],
)  # fmt: skip
def test_words_of_one_stem_meet(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_an_identifier_is_its_words_and_itself() -> None:
    assert split("readHTTPHeader2") == (*map(stem, ("read", "http", "header")), "2", "readhttpheader2")
    assert split("url_for") == ("url", "for", "url_for")
    assert stem("class") == "class" and stem("is") == "is"


# --- the files of a tree


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    def git(*args: str) -> None:
        who = ("-c", "user.name=A", "-c", "user.email=a@localhost")
        subprocess.run(["git", *who, *args], cwd=tmp_path, check=True)

    git("init", "-q", "-b", "main")
    for path, data in {**SHOP, "large.bin": b"\0" * 5_000, "data.json": b"[1]\n" * 100}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    git("add", ".")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"],
        cwd=tmp_path,
        input=b"/etc/passwd",
        capture_output=True,
        check=True,
    ).stdout.decode()
    git("update-index", "--add", "--cacheinfo", f"120000,{blob.strip()},link.py")
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git("commit", "-qm", "first")
    return Repo.open(tmp_path)


def test_the_files_of_a_tree_are_read_without_a_checkout(repo: Repo) -> None:
    head = repo.resolve("refs/heads/main")
    assert head is not None
    (repo.root / "shop/price.py").write_bytes(b"not committed")
    found = tree_files(repo, head, largest=4_000)
    assert found == {**SHOP, "data.json": b"[1]\n" * 100}
    assert list(found) == sorted(found)
    assert found.left_out == {"large.bin": "larger than 3 KiB", "link.py": "a link", "module": "a submodule"}


def test_no_more_is_read_of_a_tree_than_asked_for_and_code_comes_first(repo: Repo) -> None:
    head = repo.resolve("refs/heads/main")
    assert head is not None
    code = sum(len(data) for path, data in SHOP.items() if path.endswith(".py"))
    found = tree_files(repo, head, most=code + 10)
    assert set(found) == {path for path in SHOP if path.endswith(".py")}
    assert "together" in found.left_out["README.md"]


def test_a_tree_that_is_not_there_is_an_error(repo: Repo) -> None:
    with pytest.raises(GitError):
        tree_files(repo, "2" * 40)

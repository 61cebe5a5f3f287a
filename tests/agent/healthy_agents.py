"""Agents that get there, some of them slowly. `HELD_OUT` names those that no cost was set on."""

from __future__ import annotations

from sequences import CASES, Agent, Workshop, fix, function, module, opening, tests


def straight(shop: Workshop) -> None:
    """Look, put it right, test, done."""
    opening(shop)
    for name in shop.names:
        fix(shop, name, "put it right")
    shop.test()
    shop.done()


def slow_convergence(shop: Workshop) -> None:
    """Each function takes a wrong try or two, and the tests after each."""
    opening(shop)
    for name in shop.names:
        now = function(name, False)
        for number in range(shop.random.choice((1, 2))):
            tried = f"def {name}(*all):\n    return {number + 100}\n"
            shop.edit("shop.py", now, tried, f"try {number}")
            shop.test()
            now = tried
        shop.edit("shop.py", now, function(name), "so it is")
        shop.test()
    shop.done()


def many_files(shop: Workshop) -> None:
    """Eight new modules, one after another, while the test of them all is red."""
    head = "import unittest\n\n\nclass T(unittest.TestCase):\n    def test(self):\n"
    parts = [
        f"part_{number}" if shop.fine else f"{name}s" for number, name in enumerate([*CASES, "order", "user"])
    ]
    imports = "".join(f"        import {part}\n" for part in parts)
    shop.set_up({"test_all.py": head + imports})
    shop.read("test_all.py", "what is wanted")
    shop.test("what is there")
    for part in parts:
        shop.write(f"{part}.py", f'"""The part {part}."""\n', f"now {part}")
    shop.test()
    shop.done()


def exploration(shop: Workshop) -> None:
    """Twelve files and four searches before the first edit."""
    shop.set_up_more(11)
    shop.read("shop.py", "first the code")
    for number in range(1, 12):
        shop.read(f"part_{number}.py", f"then part {number}")
    for pattern in ("import", "def ", *shop.names[:2]):
        shop.search(pattern, f"who has {pattern}")
    for name in shop.names:
        fix(shop, name)
    shop.test()
    shop.done()


def test_first(shop: Workshop) -> None:
    """A red test, then what makes it green, four times."""
    first, *others = shop.names
    shop.set_up({"shop.py": function(first), "test_shop.py": tests([first])})
    shop.read("shop.py")
    shop.test("green to begin with")
    done = [first]
    for name in others:
        done.append(name)
        shop.write("test_shop.py", tests(done), f"a test for {name}")
        shop.test("red")
        shop.write("shop.py", shop.text("shop.py") + "\n\n" + function(name), f"make {name}")
        shop.test("green")
    shop.done()


def refactoring(shop: Workshop) -> None:
    """A module becomes four; nothing imports until the last is there."""
    names = shop.names
    shop.set_up({"shop.py": module(names, set(names)), "test_shop.py": tests(names)})
    shop.read("shop.py")
    shop.test("green to begin with")
    shop.write("shop.py", "".join(f"from {name}_part import {name}\n" for name in names), "the front")
    for name in names:
        shop.write(f"{name}_part.py", function(name), f"move {name}")
        if shop.random.random() < 0.5:
            shop.test("which is missing")
    shop.test("green again")
    shop.done()


def flaky(shop: Workshop) -> None:
    """A test that fails now and then: it is run again, and then the work goes on."""
    names = shop.names
    text = tests(names).replace("import unittest\n", "import pathlib\nimport unittest\n", 1)
    text += (
        "\n    def test_odd(self):\n        file = pathlib.Path('.git/odd')\n"
        "        count = len(file.read_text()) if file.exists() else 0\n"
        "        file.write_text('x' * (count + 1))\n"
        "        self.assertTrue(count % 3, 'odd')\n"
    )
    shop.set_up({"shop.py": module(names, set()), "test_shop.py": text})
    shop.read("shop.py")
    for name in names:
        fix(shop, name)
        shop.test("run it")
        shop.test("once more, it is flaky")
    shop.done()


def prints(shop: Workshop) -> None:
    """Six prints, each of something else, before the fault is found."""
    opening(shop)
    name = shop.names[0]
    for number in range(6):
        shop.edit(
            "shop.py",
            f"def {name}(",
            f"print({shop.names[number % 4]!r}, 'mark')\n\n\ndef {name}(",
            "a print",
        )
        shop.test("what does it print")
    for each in shop.names:
        fix(shop, each, "that is it")
    shop.test()
    shop.done()


def one_large_change(shop: Workshop) -> None:
    """Five edits of one file before anything of it shows in the test."""
    shop.set_up(
        {
            "bill.py": "def total(lines):\n    raise NotImplementedError\n",
            "test_bill.py": "import unittest\n\nfrom bill import total\n\n\nclass T(unittest.TestCase):\n"
            "    def test_total(self):\n        self.assertEqual(total([(2, 3), (4, 5)]), 26)\n",
        }
    )
    shop.read("bill.py")
    shop.read("test_bill.py")
    shop.test("red")
    for name in shop.names:
        shop.write("bill.py", shop.text("bill.py") + "\n\n" + function(name), f"a helper: {name}")
    shop.test("as expected, still red")
    shop.edit(
        "bill.py",
        "    raise NotImplementedError\n",
        "    return sum(a * b for a, b in lines)\n",
        "the last step",
    )
    shop.test("green")
    shop.done()


def missed_edits(shop: Workshop) -> None:
    """Each edit misses once or twice, then the file is read and it applies."""
    opening(shop)
    for number, name in enumerate(shop.names):
        for times in range(1 + number % 2):
            shop.edit("shop.py", f"def {name}(self):\n{times}", "", f"from memory {times}")
        shop.read("shop.py", "how does it stand there")
        fix(shop, name, "now rightly")
    shop.test()
    shop.done()


def retest(shop: Workshop) -> None:
    """The same command after each real edit."""
    opening(shop)
    for name in shop.names:
        fix(shop, name)
        shop.test("again")
    shop.done()


def slips(shop: Workshop) -> None:
    """A syntax error now and then, put right in the next turn."""
    opening(shop)
    for name in shop.names:
        slip = function(name).replace("):\n", ")\n", 1)
        shop.edit("shop.py", function(name, False), slip, "this is it")
        shop.test()
        shop.edit("shop.py", slip, function(name), "the colon")
        shop.test()
    shop.done()


def paging(shop: Workshop) -> None:
    """A long file is read in pieces before it is changed."""
    long = "\n\n".join(f"def part_{number}():\n    return {number}\n" for number in range(150))
    shop.set_up({"shop.py": long + "\n\n" + module(shop.names, set()), "test_shop.py": tests(shop.names)})
    shop.test("what fails")
    for first in range(1, 700, 60):
        shop.read(f"shop.py:{first}-{first + 59}", "the next piece")
    for name in shop.names:
        fix(shop, name)
    shop.test()
    shop.done()


def other_way(shop: Workshop) -> None:
    """A wrong way is left again, and another one works."""
    opening(shop)
    first, second, *others = shop.names
    before = shop.text("shop.py")
    shop.edit("shop.py", function(first, False), f"class {first.title()}:\n    pass\n", "a class")
    shop.test("worse")
    shop.write("shop.py", before, "back to how it was")
    fix(shop, first, "simply so")
    shop.test("better")
    before = shop.text("shop.py")
    shop.write("shop.py", before.replace(f"def {second}", f"def _{second}"), "a private one")
    shop.test("worse again")
    shop.write("shop.py", before, "back again")
    for name in (second, *others):
        fix(shop, name)
    shop.test()
    shop.done()


def one_after_another(shop: Workshop) -> None:
    """Eight faults in a row: each one that is removed shows the next."""
    calls = "".join(f"        self.assertEqual(steps.step_{name}(), 1)\n" for name in "abcdefgh")
    head = "import unittest\n\nimport steps\n\n\nclass T(unittest.TestCase):\n    def test_all(self):\n"
    shop.set_up({"steps.py": "", "test_steps.py": head + calls})
    shop.read("test_steps.py")
    shop.test("what fails")
    for name in "abcdefgh":
        shop.write(
            "steps.py", shop.text("steps.py") + f"def step_{name}():\n    return 1\n\n\n", f"step {name}"
        )
        shop.test("what is next")
    shop.done()


def renaming(shop: Workshop) -> None:
    """A function gets another name in six files; red until the last."""
    users = {f"use_{name}.py": f"from shop import {shop.names[0]} as it\n" for name in "abcdef"}
    imports = "".join(f"import {path[:-3]}\n" for path in users)
    case = "class T(unittest.TestCase):\n    def test(self):\n        use_a.it\n"
    text = f"import unittest\n\n{imports}\n\n{case}"
    shop.set_up({"shop.py": module(shop.names, set(shop.names)), "test_all.py": text, **users})
    shop.search(shop.names[0], "who uses it")
    old, new = shop.names[0], f"{shop.names[0]}_of"
    shop.edit("shop.py", f"def {old}(", f"def {new}(", "the name")
    for path in users:
        shop.edit(path, f"import {old} as", f"import {new} as", f"in {path}")
    shop.test()
    shop.done()


def slip_of_the_tongue(shop: Workshop) -> None:
    """A reply without an action now and then."""
    opening(shop)
    for name in shop.names:
        shop.malformed(f"I would now change {name}")
        fix(shop, name)
        shop.test()
    shop.done()


def green_work(shop: Workshop) -> None:
    """Documentation and tests for what works already: nothing is ever red."""
    names = shop.names
    shop.set_up({"shop.py": module(names, set(names)), "test_shop.py": tests(names[:1])})
    shop.read("shop.py")
    shop.test()
    shop.write("README.md", "# Shop\n", "a readme")
    for count in range(2, 5):
        shop.write("test_shop.py", tests(names[:count]), f"a test for {names[count - 1]}")
    for name in names:
        shop.edit("shop.py", f"def {name}(", f"# {name}: see the readme.\ndef {name}(", "a note")
    shop.write("README.md", "# Shop\n\n" + "\n".join(names) + "\n", "all of them")
    shop.done()


def tidy_then_fix(shop: Workshop) -> None:
    """Commands and formatting first, the fault in between, two looks at the same file."""
    opening(shop)
    shop.run("ls", "what is here")
    shop.run("grep -rn def .", "where is it")
    shop.write("shop.py", shop.text("shop.py") + "\n", "a blank line")
    shop.read("shop.py", "as it is now")
    fix(shop, shop.names[0])
    fix(shop, shop.names[1])
    shop.test("better")
    shop.read("shop.py", "what is left")
    fix(shop, shop.names[2])
    shop.done("perhaps")
    fix(shop, shop.names[3])
    shop.test()
    shop.done()


ALL: tuple[Agent, ...] = (
    straight,
    slow_convergence,
    many_files,
    exploration,
    test_first,
    refactoring,
    flaky,
    prints,
    one_large_change,
    missed_edits,
    retest,
    slips,
    paging,
    other_way,
    one_after_another,
    renaming,
    slip_of_the_tongue,
    green_work,
    tidy_then_fix,
)
HELD_OUT = {
    "flaky",
    "one_large_change",
    "missed_edits",
    "slips",
    "paging",
    "other_way",
    "renaming",
    "green_work",
    "tidy_then_fix",
}

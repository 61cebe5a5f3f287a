"""Agents that get nowhere, each in its own way. `HELD_OUT` names those that no cost was set on."""

from __future__ import annotations

from sequences import Agent, Workshop, fix, function, module, opening, phrases

ROUNDS = 12
"""Turns of a loop, about: enough to climb to the fourth rung."""


def alternation(shop: Workshop) -> None:
    """A, B, A, B, never run."""
    opening(shop)
    name = shop.names[0]
    bad, worse = function(name, False), f"def {name}(*all):\n    return None\n"
    shop.loop(2)
    for _ in range(ROUNDS // 2):
        shop.edit("shop.py", bad, worse, "try this")
        shop.edit("shop.py", worse, bad, "no, that")


def alternation_tested(shop: Workshop) -> None:
    """The same with a run of the tests after each edit."""
    opening(shop)
    name = shop.names[1]
    bad, worse = function(name, False), f"def {name}(*all):\n    return 0\n"
    say = phrases(shop.random)
    shop.loop(4)
    for _ in range(ROUNDS // 4):
        shop.edit("shop.py", bad, worse, next(say))
        shop.test(next(say))
        shop.edit("shop.py", worse, bad, next(say))
        shop.test(next(say))


def void_edits(shop: Workshop) -> None:
    """Edits that put the text in the place of itself."""
    opening(shop)
    fix(shop, shop.names[0])
    bad, say = function(shop.names[1], False), phrases(shop.random)
    shop.loop()
    for _ in range(ROUNDS):
        shop.edit("shop.py", bad, bad, next(say))


def wrong_file(shop: Workshop) -> None:
    """Real edits, of a file that nothing uses."""
    opening(shop)
    say = phrases(shop.random)
    shop.loop(2)
    for number in range(ROUNDS // 2):
        shop.write(
            "helpers.py", "\n\n".join(function(name) for name in shop.names) + f"# {number}\n", next(say)
        )
        shop.test(next(say))


def same_malformed(shop: Workshop) -> None:
    """The same reply without an action."""
    opening(shop)
    shop.loop()
    for _ in range(ROUNDS):
        shop.malformed("Sure! Here is the corrected code: return width * height")


def other_malformed(shop: Workshop) -> None:
    """Ever other replies without an action."""
    opening(shop)
    fix(shop, shop.names[0])
    say = phrases(shop.random)
    shop.loop()
    for _ in range(ROUNDS):
        shop.malformed(next(say))


def done_looping(shop: Workshop) -> None:
    """DONE again and again, with red checks."""
    opening(shop)
    fix(shop, shop.names[0])
    shop.loop()
    for _ in range(ROUNDS):
        shop.done("All tests pass now." if shop.random.random() < 0.5 else "The task is complete.")


def done_and_peek(shop: Workshop) -> None:
    """DONE, a look at the file, DONE."""
    opening(shop)
    fix(shop, shop.names[0])
    shop.loop(2)
    for _ in range(ROUNDS // 2):
        shop.done("It is done.")
        shop.read("shop.py", "make sure")


def revert(shop: Workshop) -> None:
    """Another wrong edit each time, taken back each time."""
    opening(shop)
    name = shop.names[0]
    bad = function(name, False)
    shop.loop(2)
    for number in range(ROUNDS // 2):
        wrong = f"def {name}(*all):\n    return {number}\n"
        shop.edit("shop.py", bad, wrong, f"attempt {number}")
        shop.edit("shop.py", wrong, bad, "that was wrong")


def whitespace_only(shop: Workshop) -> None:
    """Edits that add blanks."""
    opening(shop)
    say = phrases(shop.random)
    tested = shop.random.random() < 0.5
    shop.loop(2 if tested else 1)
    for _ in range(ROUNDS):
        shop.write("shop.py", shop.text("shop.py") + "\n", next(say))
        if tested:
            shop.test(next(say))


def import_ping_pong(shop: Workshop) -> None:
    """Three imports that do not work, one after the other."""
    opening(shop)
    heads = ["from shop.core import area\n", "from .core import area\n", "import shop.core.area\n", ""]
    shop.loop(6)
    for number in range(ROUNDS):
        body = module(shop.names, set())
        shop.write("shop.py", heads[number % 3] + body, f"import it as {heads[number % 3]}")
        shop.test("does it import")


def reading_round(shop: Workshop) -> None:
    """The same files, round and round."""
    shop.set_up_more(4)
    opening(shop)
    say = phrases(shop.random)
    shop.loop(3)
    for number in range(ROUNDS):
        shop.read(["shop.py", "test_shop.py", "part_1.py"][number % 3], next(say))


def refused_anew(shop: Workshop) -> None:
    """The same edit that does not apply, in other words."""
    opening(shop)
    say = phrases(shop.random)
    shop.loop()
    for _ in range(ROUNDS):
        shop.edit("shop.py", "    return width x height\n", "    return width * height\n", next(say))


def growing_junk(shop: Workshop) -> None:
    """One more function that nothing calls, and the tests."""
    opening(shop)
    say = phrases(shop.random)
    shop.loop(2)
    for number in range(ROUNDS // 2):
        shop.write("shop.py", shop.text("shop.py") + f"\n\ndef helper_{number}():\n    pass\n", next(say))
        shop.test(next(say))


def growing_comments(shop: Workshop) -> None:
    """One more comment."""
    opening(shop)
    fix(shop, shop.names[2])
    say = phrases(shop.random)
    shop.loop()
    for _ in range(ROUNDS):
        shop.write("shop.py", f"# {next(say)}\n" + shop.text("shop.py"), next(say))


def test_back_and_forth(shop: Workshop) -> None:
    """The test is bent, and bent back."""
    opening(shop)
    text = shop.text("test_shop.py")
    bent = text.replace("self.assertEqual(", "self.assertNotEqual(", 1)
    shop.loop(4)
    for number in range(ROUNDS // 2):
        shop.write("test_shop.py", bent if number % 2 == 0 else text, "the test is wrong")
        shop.test("run it")


def renaming_ping_pong(shop: Workshop) -> None:
    """A file is named one way and the other."""
    opening(shop)
    shop.loop(2)
    for _ in range(ROUNDS // 2):
        shop.run("mv shop.py store.py", "another name")
        shop.run("mv store.py shop.py", "the old name")


def command_loop(shop: Workshop) -> None:
    """The same command, nothing else."""
    opening(shop)
    say = phrases(shop.random)
    shop.loop()
    for _ in range(ROUNDS):
        shop.test(next(say))


def commands_in_turn(shop: Workshop) -> None:
    """A few commands in turn, and no edit."""
    opening(shop)
    shop.loop(4)
    for _ in range(ROUNDS // 4 + 1):
        shop.run("ls", "what is here")
        shop.run("cat shop.py", "the code")
        shop.test("the tests")
        shop.run("grep -n def shop.py", "the functions")


def search_round(shop: Workshop) -> None:
    """Two searches in turn, one of them for what is not there."""
    opening(shop)
    say = phrases(shop.random)
    shop.loop(2)
    for _ in range(ROUNDS // 2):
        shop.search("def total", next(say))
        shop.search("import", next(say))


def new_file_each_time(shop: Workshop) -> None:
    """fix_1.py, fix_2.py, fix_3.py, and the tests."""
    opening(shop)
    shop.loop(2)
    for number in range(ROUNDS // 2 + 1):
        shop.write(f"fix_{number}.py", function(shop.names[0]) + f"# {number}\n", "a file with the fix")
        shop.test("is it right now")


def wild(shop: Workshop) -> None:
    """Another syntax error each time."""
    opening(shop)
    body = module(shop.names, set())
    broken = ["def (:\n", "return = 1\n", "x = [1, 2\n", "if True\n", "  y = 1\n", "a b c\n"]
    shop.loop(2)
    for number in range(ROUNDS):
        shop.write("shop.py", body + "\n\n" + broken[number % len(broken)] + f"# {number}\n", "maybe so")
        shop.test("and now")


def seesaw(shop: Workshop) -> None:
    """The whole file is written from memory: each time one function is right and the other is not."""
    opening(shop)
    shop.loop(2)
    for number in range(ROUNDS):
        shop.write(
            "shop.py", module(shop.names, {shop.names[number % 2]}), f"now {shop.names[number % 2]} is right"
        )


def prints_for_ever(shop: Workshop) -> None:
    """One print after the other, of what is known."""
    opening(shop)
    shop.loop(2)
    for _ in range(ROUNDS // 2 + 2):
        shop.write("shop.py", "print('here')\n" + shop.text("shop.py"), "see whether it gets here")
        shop.test("what does it print")


def seen_too_late(shop: Workshop) -> None:
    """Some real work first, then the same refused edit, with looks at the file in between."""
    opening(shop)
    for name in shop.names[:2]:
        fix(shop, name)
        shop.test()
    say = phrases(shop.random)
    shop.loop(2)
    for _ in range(ROUNDS // 2):
        shop.edit("shop.py", "return total\n", "return total / count\n", next(say))
        shop.read("shop.py", next(say))


ALL: tuple[Agent, ...] = (
    alternation,
    alternation_tested,
    void_edits,
    wrong_file,
    same_malformed,
    other_malformed,
    done_looping,
    done_and_peek,
    revert,
    whitespace_only,
    import_ping_pong,
    reading_round,
    refused_anew,
    growing_junk,
    growing_comments,
    test_back_and_forth,
    renaming_ping_pong,
    command_loop,
    commands_in_turn,
    search_round,
    new_file_each_time,
    wild,
    seesaw,
    prints_for_ever,
    seen_too_late,
)
HELD_OUT = {
    "alternation_tested",
    "other_malformed",
    "done_and_peek",
    "growing_comments",
    "test_back_and_forth",
    "renaming_ping_pong",
    "commands_in_turn",
    "search_round",
    "new_file_each_time",
    "seesaw",
    "seen_too_late",
}

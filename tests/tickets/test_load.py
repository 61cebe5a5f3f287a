"""The loader: every fault at once, each in its place, and only files of the repository."""

import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ticket_doubles import BASE, CHECKS, KINDS, load, problems

from tickets.load import load_text, load_ticket
from tickets.problems import MOST_PROBLEMS, Problem, TicketError
from tickets.schema import MetricCheck, RunCheck
from tickets.strict_yaml import MOST_BYTES
from tickets.values import ByShell, Revert, ToPhase

CODE_EXAMPLE = """\
# tickets/TICKET-101.yaml
kind: code
goal: Reject duplicate keys when loading ticket YAML
labels: [M0]
persona: coder
paths: [tickets/**, tests/unit/**]
constraints:
  - no new dependency
  - the error names file, line and key
accept:
  - run: pytest -q tests/unit/test_loader.py::test_duplicate_key
    red: true
  - standard
budget: {time: 20m, turns: 30}
risks:
  - risk: a shipped ticket has duplicate keys
    then: fix the ticket, not the loader
"""
TRAIN_EXAMPLE = """\
# tickets/TICKET-003.yaml
kind: train
goal: A minimal JEPA whose latents do not collapse
needs: [TICKET-001, TICKET-002]
labels: [M2]
with:
  model: jepa
  config: configs/jepa.yaml
  data: {text: TICKET-001, images: TICKET-002}
  checkpoint: 60s
accept:
  - resumes
  - metric: latent_effective_rank
    min: 32
  - metric: probe_accuracy
    min: 0.85
  - offline
budget: {time: 8h, vram: 22GB}
approve: [start, merge]
rollback: phase:0
"""


def test_the_code_example_loads():
    loaded = load(CODE_EXAMPLE, "tickets/TICKET-101.yaml")
    ticket = loaded.ticket
    assert loaded.id == "TICKET-101"
    assert loaded.path == "tickets/TICKET-101.yaml"
    assert ticket.accept == (
        RunCheck(run="pytest -q tests/unit/test_loader.py::test_duplicate_key", red=True),
        "standard",
    )
    assert (ticket.budget.time, ticket.budget.turns, ticket.budget.usd) == (1200, 30, 0)
    assert (ticket.when, ticket.rollback, loaded.needs) == ("now", Revert(), ())
    assert ticket.approvals(KINDS["code"].approvals) == {"merge"}


def test_the_train_example_loads():
    loaded = load(TRAIN_EXAMPLE, "tickets/TICKET-003.yaml")
    assert loaded.needs == ("TICKET-001", "TICKET-002")
    assert loaded.needs_at == {"TICKET-001": (4, 9), "TICKET-002": (4, 21)}
    assert loaded.ticket.accept[1] == MetricCheck(metric="latent_effective_rank", min=32)
    assert loaded.ticket.budget.vram == 22 * 10**9
    assert loaded.ticket.rollback == ToPhase(0)
    assert loaded.options.model_dump()["checkpoint"] == 60
    assert loaded.ticket.approvals(frozenset({"core"})) == {"core", "start", "merge"}


def test_all_that_is_wrong_is_told_at_once_where_it_stands():
    text = """\
kind: trian
goal: short
accpt: [x]
when: 61 * * * *
needs: [TICKET-1, TICKET-1, 7]
budget: {time: 90, turns: 1.5, usd: -1, vrm: 3GB}
approve: [strat]
risks: [{risk: a}]
rollback: phase:x
paths: [../x, /y, .git/config]
labels:
notes: *x
goal: again and again
"""
    found = problems(text)
    assert [line.split(": ")[:2] for line in found] == [
        ["1:1", "accept"],
        ["1:7", "kind"],
        ["2:7", "goal"],
        ["3:1", "accpt"],
        ["4:7", "when"],
        ["5:19", "needs[1]"],
        ["5:29", "needs[2]"],
        ["6:16", "budget.time"],
        ["6:27", "budget.turns"],
        ["6:37", "budget.usd"],
        ["6:41", "budget.vrm"],
        ["7:11", "approve[0]"],
        ["8:9", "risks[0].then"],
        ["9:11", "rollback"],
        ["10:9", "paths[0]"],
        ["10:15", "paths[1]"],
        ["10:19", "paths[2]"],
        ["11:8", "labels"],
        ["12:8", "notes"],
        ["13:1", "goal"],
    ]
    for line, meant in {1: "train", 3: "accept", 10: "vram", 11: "start"}.items():
        assert found[line].endswith(f"did you mean {meant!r}?")
    assert all(", expected " in line for line in found)


def test_faults_inside_with_stand_at_their_own_place_in_our_words():
    text = BASE.replace("code", "run") + "with:\n  steps: [1, {run: 3}, {rn: x}, a]\n  stps: 3\n"
    assert problems(text) == [
        "5:11: with.steps[0]: is the number 1, expected a map or text; write it in quotes",
        "5:20: with.steps[1].run: is the number 3, expected text; write it in quotes",
        "5:24: with.steps[2].run: is missing, expected it here",
        "5:25: with.steps[2].rn: is not a key known here, expected ok or run; did you mean 'run'?",
        "6:3: with.stps: is not a key known here, expected steps; did you mean 'steps'?",
    ]


def test_what_with_lacks_is_told_even_when_there_is_no_with():
    assert problems(BASE.replace("code", "run")) == ["1:1: with.steps: is missing, expected it here"]


def test_a_kinds_own_model_gets_no_guessed_types():
    text = BASE.replace("code", "datagen") + "with: {recipe: a, count: '5', seed: 1.0}\n"
    assert [line.split(": ")[1] for line in problems(text)] == ["with.count", "with.seed"]
    ok = BASE.replace("code", "datagen") + "with: {recipe: a, count: 5, own: {option: 1e-4}}\n"
    assert load(ok).options.model_dump()["own"] == {"option": 1e-4}


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ("stanard", "did you mean 'standard'?"),
        ("5", "expected a check"),
        ("[standard]", "expected a check"),
        ("{rum: x}", "did you mean 'run'?"),
        ("{run: x, metric: y, min: 1}", "several checks at once (run and metric)"),
        ("{run: x, rde: true}", "expected red or run; did you mean 'red'?"),
        ("{run: x, red: yes}", "expected true or false"),
        ("{run: ''}", "is empty text"),
        ("{metric: a}", "has no bound"),
        ("{metric: a, min: 1, max: 2}", "both min and max"),
        ("{metric: a, min: '1'}", "expected a number"),
        ("{metric: a, min: true}", "expected a number"),
        ("{metric: a, min: 1, max: }", "is empty, expected a value"),
        ("{judge: good?}", "accept[0].min: is missing"),
        ("{file: ../../etc/passwd}", "without '..'"),
        ("{file: /etc/passwd}", "relative to the repository"),
        ("{human: }", "expected text"),
        ("a/b", "expected a name"),
    ],
)
def test_a_check_that_is_none_is_told_apart(check, told):
    found = problems(f"kind: run\ngoal: Do something good\nwith: {{steps: [a]}}\naccept: [{check}]\n")
    assert len(found) == 1
    assert found[0].startswith("4:")
    assert told in found[0]


def test_an_empty_list_of_checks_is_no_acceptance():
    assert problems(BASE.replace("[standard]", "[]")) == ["3:9: accept: has 0 items, expected at least 1"]


@pytest.mark.parametrize(
    "beside", ["standard", "{run: x}", "{metric: m, max: 1}", "{file: README.md, contains: x}"]
)
def test_code_needs_a_check_that_runs_beside_opinions(beside):
    opinions = "{judge: good?, min: 0.5}, {human: good?}"
    (found,) = problems(BASE.replace("standard", opinions))
    assert found.startswith("3:9: accept: rests on opinions alone")
    assert problems(BASE.replace("standard", f"{opinions}, {beside}")) == []
    assert problems(BASE.replace("standard", opinions).replace("code", "run") + "with: {steps: [a]}\n") == []


def test_any_check_name_will_do_when_none_are_handed_in():
    assert load(BASE.replace("standard", "own-check"), check_names=None).ticket.accept == ("own-check",)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20m", 1200), ("8h", 28800), ("90s", 90), ("1h30m", 5400), ("1h1s", 3601)]
)
def test_durations_are_seconds(text, seconds):
    assert load(BASE + f"budget: {{time: {text}}}\n").ticket.budget.time == seconds


@pytest.mark.parametrize(
    "text", ["90", "''", "0s", "1.5h", "m20", "20 m", "30m1h", "20M", "1h30", "true", "9999999h"]
)
def test_what_is_no_duration_is_refused(text):
    assert "budget.time" in problems(BASE + f"budget: {{time: {text}}}\n")[0]


@pytest.mark.parametrize(
    ("text", "size"), [("22GB", 22 * 10**9), ("16GiB", 2**34), ("1.5KB", 1500), ("7B", 7), ("0.5KiB", 512)]
)
def test_sizes_are_bytes(text, size):
    assert load(BASE + f"budget: {{vram: {text}}}\n").ticket.budget.vram == size


@pytest.mark.parametrize("text", ["22", "22G", "0GB", "-1GB", "22 GB", "22gb", "iB", "1iB"])
def test_what_is_no_size_is_refused(text):
    assert "budget.vram" in problems(BASE + f"budget: {{vram: {text}}}\n")[0]


@pytest.mark.parametrize(
    "text", ["now", "idle", "0 3 * * 1-5", "*/5 0,12 1-7 jan-mar SUN", "0 0 29 2 *", "0 0 31 2 1"]
)
def test_moments_that_come_are_accepted(text):
    assert problems(BASE + f'when: "{text}"\n') == []


@pytest.mark.parametrize(
    "text",
    [
        "later",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * *",
        "* * * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "1/2 * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "0 0 31 2 *",
        "0 0 31 4,6 *",
        "@daily",
        "* * * foo *",
        "٣ * * * *",
    ],
)
def test_moments_that_never_come_are_refused(text):
    (found,) = problems(BASE + f'when: "{text}"\n')
    assert found.startswith("4:7: when: ")


def test_a_cron_line_is_read_as_what_it_names():
    cron = load(BASE + 'when: "*/20 9-17/4 1 jan,DEC 7,1"\n').ticket.when
    assert (cron.minutes, cron.hours, cron.days) == ({0, 20, 40}, {9, 13, 17}, {1})
    assert (cron.months, cron.weekdays, cron.either_day) == ({1, 12}, {0, 1}, True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("revert", Revert()),
        ("phase:3", ToPhase(3)),
        ("phase:last-good", ToPhase(None)),
        ('"sh: make undo"', ByShell("make undo")),
        ("{sh: make undo}", ByShell("make undo")),
    ],
)
def test_rollbacks_in_either_spelling(text, meant):
    assert load(BASE + f"rollback: {text}\n").ticket.rollback == meant


@pytest.mark.parametrize(
    "text", ["undo", "'phase:'", "phase:-1", "'sh:'", "{sh: ''}", "{sh: a, b: c}", "{sh: 1}", "[]"]
)
def test_what_is_no_rollback_is_refused(text):
    assert problems(BASE + f"rollback: {text}\n")[0].startswith("4:11: rollback: ")


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../../b",
        "/etc",
        "~/x",
        "C:/x",
        "c:x",
        "a\\b",
        "a//b",
        "./a",
        ".git/hooks",
        "sub/.GIT/x",
        ".git. /x",
        "git~1/x",
        "!a",
        "''",
        "' '",
    ],
)
def test_no_path_leaves_the_repository(path):
    (found,) = problems(BASE + f"paths: ['{path.strip(chr(39))}']\n")
    assert found.startswith("4:9: paths[0]: ")


@pytest.mark.parametrize("name", ["../coder", "a/b", "a\\b", "nul", "COM1.yaml", "x.", ".x", "", "a" * 65])
def test_a_persona_is_a_files_stem(name):
    assert problems(BASE + f"persona: '{name}'\n")[0].startswith("4:10: persona: ")


@pytest.mark.parametrize(
    "goal", ["'       x'", '"a long\\nenough goal"', "7", "1234567", "x" * 241, ">\n  a long goal\n"]
)
def test_a_goal_is_one_line_of_text(goal):
    assert "goal: " in problems(BASE.replace("Reject duplicate keys", goal))[0]


def test_only_values_inside_with_imply_needs():
    text = BASE.replace("code", "datagen") + (
        "notes: TICKET-009\nneeds: [TICKET-002]\n"
        "with: {recipe: a, count: 1, deep: [{x: TICKET-004}, TICKET-002], "
        "TICKET-005: no, text: see TICKET-006}\n"
    )
    loaded = load(text)
    assert loaded.needs == ("TICKET-002", "TICKET-004")
    assert loaded.needs_at == {"TICKET-002": (5, 9), "TICKET-004": (6, 40)}


def test_the_revision_names_the_work_and_nothing_else():
    base = load(BASE).revision
    same = "# other\naccept:\n- 'standard'\ngoal: >-\n  Reject duplicate\n  keys\nkind: \"code\"\n"
    assert load(same + "labels: [x]\nnotes: y\nwhen: idle\n").revision == base
    assert load(BASE + "approve: [core]\n").revision != base
    assert load(BASE.replace("keys", "key")).revision != base
    assert len(base) == 64


def test_the_spec_is_plain_data():
    spec = load(TRAIN_EXAMPLE).spec
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


@pytest.mark.parametrize(
    "name",
    [
        "TICKET-1.yml",
        "ticket-001.yaml",
        "TICKET-.yaml",
        "TICKET-1x.yaml",
        "notes.yaml",
        "TICKET-٣.yaml",
        "TICKET-1.yaml\n",
    ],
)
def test_the_file_name_is_the_id(name):
    (found,) = problems(BASE, f"tickets/{name}")
    assert "file: is named" in found


def test_a_yml_is_told_what_to_be_called():
    assert problems(BASE, "TICKET-001.yml") == [
        "1:1: file: is named 'TICKET-001.yml', expected TICKET-001.yaml: rename it"
    ]


def test_a_file_of_nothing_but_faults_is_cut_off_with_a_count():
    text = BASE + "".join(f"kex{i}: 1\n" for i in range(5000))
    with pytest.raises(TicketError) as caught:
        load(text)
    assert len(caught.value.problems) == MOST_PROBLEMS + 1
    assert "has 4900 more problems" in caught.value.problems[-1].message


def test_a_problem_reads_as_one_line_whatever_it_speaks_of():
    text = str(Problem("a\nb", 1, 2, "x", "y"))
    assert "\n" not in text
    for found in problems(BASE + '"new\\nline": 1\n"\\e[0m": 2\n' + "x" * 5000 + ": 3\n"):
        assert found.isprintable()
        assert len(found) < 500


# Files


def workspace(tmp_path):
    root = tmp_path / "repo"
    (root / "tickets").mkdir(parents=True)
    path = root / "tickets" / "TICKET-001.yaml"
    path.write_text(BASE)
    return root, path


def refusal(path, root):
    with pytest.raises(TicketError) as caught:
        load_ticket(path, root, KINDS, CHECKS)
    (problem,) = caught.value.problems
    assert problem.field == "file"
    return problem.message


def symlink(link, target, folder=False):
    try:
        link.symlink_to(target, target_is_directory=folder)
    except OSError:
        pytest.skip("this system makes no links")


def test_a_file_is_loaded_under_its_name_in_the_repository(tmp_path):
    root, path = workspace(tmp_path)
    loaded = load_ticket(path, root, KINDS, CHECKS)
    assert (loaded.id, loaded.path) == ("TICKET-001", "tickets/TICKET-001.yaml")


def test_links_inside_are_followed_and_links_outside_are_not(tmp_path):
    root, path = workspace(tmp_path)
    outside = tmp_path / "outside.yaml"
    outside.write_text(BASE)
    link = root / "tickets" / "TICKET-002.yaml"
    symlink(link, path)
    assert load_ticket(link, root, KINDS, CHECKS).id == "TICKET-002"
    link.unlink()
    symlink(link, outside)
    assert "leaves the repository" in refusal(link, root)
    link.unlink()
    symlink(link, "nowhere")
    assert "can't be read" in refusal(link, root)
    link.unlink()
    symlink(link, link)
    assert "can't be read" in refusal(link, root)


def test_a_linked_folder_outside_is_refused(tmp_path):
    root, path = workspace(tmp_path)
    (root / "tickets").rename(tmp_path / "elsewhere")
    symlink(root / "tickets", tmp_path / "elsewhere", folder=True)
    assert "leaves the repository" in refusal(path, root)


def test_only_regular_files_are_opened(tmp_path):
    root, path = workspace(tmp_path)
    path.unlink()
    assert "can't be read" in refusal(path, root)
    path.mkdir()
    assert "not a regular file" in refusal(path, root)
    path.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert "not a regular file" in refusal(path, root)
        path.unlink()
        symlink(path, "/dev/zero")
        assert "not a regular file" in refusal(path, root)


def test_a_huge_file_is_refused_unread(tmp_path):
    root, path = workspace(tmp_path)
    with path.open("r+b") as stream:
        stream.truncate(2**40)  # sparse
    assert f"{2**40} bytes long, expected at most {MOST_BYTES}" in refusal(path, root)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("swap_folder", [False, True])
def test_no_race_of_links_lets_the_outside_in(tmp_path, swap_folder):
    root, path = workspace(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / path.name).write_text(BASE.replace("Reject", "Outside"))
    victim = path.parent if swap_folder else path
    inside = root / "kept"
    victim.rename(inside)
    target = outside if swap_folder else outside / path.name
    stop = threading.Event()

    def swap():
        spare, chance = root / "spare", random.Random(1)
        while not stop.is_set():
            for aim in (inside, target):
                spare.symlink_to(aim)
                spare.replace(victim)
                if chance.random() < 0.05:  # so that a load gets through now and then, whoever else computes
                    time.sleep(0.01)

    swapper = threading.Thread(target=swap)
    swapper.start()
    goals, refused, tries, until = set(), 0, 0, time.monotonic() + 60
    try:
        while tries < 1500 or (not (goals and refused) and time.monotonic() < until):
            tries += 1
            try:
                goals.add(load_ticket(path, root, KINDS, CHECKS).ticket.goal)
            except TicketError:
                refused += 1
    finally:
        stop.set()
        swapper.join()
    assert goals == {"Reject duplicate keys"}
    assert refused > 0


# Hostile input


KEYS = [
    "kind",
    "goal",
    "accept",
    "needs",
    "labels",
    "when",
    "persona",
    "paths",
    "with",
    "risks",
    "rollback",
    "budget",
    "approve",
    "notes",
    "time",
    "run",
    "red",
    "metric",
    "min",
    "file",
    "steps",
    "recipe",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["code", "run", "datagen", "train", "standard", "TICKET-001", "now", "20m", "Reject duplicate keys"]
    ),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5),
    ),
    max_leaves=15,
)


def survives(text):
    try:
        load_text(text, "tickets/TICKET-001.yaml", KINDS, CHECKS)
    except TicketError as error:
        assert error.problems
        places = [(problem.line, problem.column) for problem in error.problems]
        assert places == sorted(places)
        assert all(str(problem).isprintable() for problem in error.problems)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS[:14]), DATA, max_size=8))
def test_any_data_loads_or_is_refused_with_reasons(data):
    survives(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_load_or_are_refused_with_reasons(data):
    survives(data)
    survives(BASE.encode() + data)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 700), st.integers(0, 30), st.text(max_size=6))
def test_a_damaged_ticket_loads_or_is_refused_with_reasons(at, length, instead):
    text = TRAIN_EXAMPLE[:at] + instead + TRAIN_EXAMPLE[at + length :]
    survives(text.encode("utf-8", "replace"))


def test_the_room_is_not_imported_by_its_light_part():
    import subprocess

    code = (
        "import sys, tickets.lifecycle; sys.exit(bool({'yaml', 'pydantic', 'watchdog'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0

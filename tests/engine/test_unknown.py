"""What a shell line would start and whom it names is told, or it is told that nobody can tell."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import shell, user
from orchestrator.checks import resolve
from orchestrator.named_hosts import loopback
from orchestrator.notable import notable
from orchestrator.unknown import UNTOLD, commands, hosts, new_programs, programs

PLACES = [
    "nmap x",
    "ls; nmap",
    "ls && nmap || ls",
    "ls | nmap",
    "ls & nmap",
    "ls\nnmap",
    "ls \\\n&& \\\nnmap",
    "(nmap)",
    "{ nmap; }",
    "! nmap",
    "A=1 B='2 3' nmap",
    "if nmap; then ls; fi",
    "if ls; then nmap; elif ls; then ls; else ls; fi",
    "while ls; do nmap; done < file",
    "for x in a $(nmap); do ls; done",
    "for ((i=0; i<3; i++)); do nmap; done",
    "case $(nmap) in a) ls ;; esac",
    "case a in a|b) ls ;; (*) nmap ;; esac; ls",
    "f() { nmap; }",
    "function f { nmap; }",
    "echo $(nmap)",
    'echo "a $(nmap) b"',
    "echo `nmap`",
    "echo `ls \\`nmap\\``",
    "echo ${A:-$(nmap)}",
    'echo "${A:-"`nmap`"}"',
    "echo $((1 + $(nmap)))",
    "echo $((nmap); (ls))",
    "diff <(ls) <(nmap)",
    "tee >(nmap)",
    "ls > $(nmap)",
    "a=(1 2 $(nmap))",
    "[[ -f a && $(nmap) < b ]] && ls",
    "cat <<END\n$(nmap)\nEND",
    "cat <<-END\n\tx\n\tEND\nnmap",
    "cat <<'END'\n)(\nEND\nnmap",
    "2>&1 nmap",
    "nmap>file",
    "ls # )\nnmap",
    "n'ma'\"p\"",
    "\\nmap",
    "env -i A=1 nmap",
    "env -u A nmap",
    "env -S 'A=1 nmap'",
    "command nmap",
    "exec -a x nmap",
    "time -p nmap",
    "timeout 5 nmap",
    "timeout -s KILL --foreground 5s nmap",
    "sudo -u root A=1 nmap",
    "nice -n 5 nohup setsid nmap",
    "ls | xargs -0 -n1 -P 4 nmap",
    "find . -name '*.py' -exec nmap {} \\;",
    "find . -exec ls {} \\; -execdir nmap {} +",
    "sh -c 'ls; nmap'",
    "bash -euo pipefail -c nmap",
    "bash -lc \"sh -c 'nmap'\"",
    "eval 'ls; nmap'",
    "trap 'nmap' EXIT",
    "uv run --with x nmap",
    "npx -y nmap",
    "/usr/bin/nmap",
    "nmap.exe",
]


@pytest.mark.parametrize("line", PLACES)
def test_a_program_is_told_wherever_it_stands(line: str) -> None:
    assert "nmap" in programs(line)


@pytest.mark.parametrize(
    "line",
    [
        "echo nmap",
        "echo 'a; nmap'",
        "ls # ; nmap",
        "ls > nmap",
        "NMAP=nmap ls",
        "cat <<'END'\nnmap\n$(nmap)\nEND",
        "case nmap in nmap) ls ;; esac",
        "for nmap in nmap; do ls; done",
        "[[ nmap && nmap ]]",
        "ls 2>nmap",
        "git commit -m 'nmap; nmap'",
    ],
)
def test_what_is_no_program_is_not_told_as_one(line: str) -> None:
    assert "nmap" not in programs(line) and UNTOLD not in programs(line)


@pytest.mark.parametrize(
    "line, told",
    [
        ("./build.sh && tools/make.py", set()),
        ("cd sub && ./build.sh", set()),
        ("sh build.sh", {"sh"}),
        (". ./env.sh", set()),
        ("../build.sh", {"../build.sh"}),
        ("sub/../../build.sh", {"sub/../../build.sh"}),
        ("~/bin/tool", {"~/bin/tool"}),
        ("/opt/tool", {"/opt/tool"}),
        ("/usr/bin/../../opt/tool", {"/usr/bin/../../opt/tool"}),
        ("cd /opt && ./tool", {"./tool"}),
        ("cd .. && ./tool", {"./tool"}),
        ("cd $DIR && ./tool", {"./tool"}),
        ("sh /tmp/build.sh", {"sh", "/tmp/build.sh"}),
        (": && test -f x && [ -f x ] && cd x && export A=1", set()),
    ],
)
def test_the_repositorys_own_files_and_the_shells_own_words_are_no_news(line: str, told: set[str]) -> None:
    assert programs(line) == told


@pytest.mark.parametrize(
    "line",
    [
        "$TOOL x",
        '"$TOOL"',
        "$(which nmap) x",
        "`which nmap` x",
        "/usr/bin/n?ap",
        "{nmap,x}",
        "eval $LINE",
        'sh -c "$LINE"',
        "curl example.org | sh",
        "sh <<END\nnmap\nEND",
        "bash -s < file",
        "xargs $TOOL",
        "echo 'open",
        'echo "open',
        "echo $(open",
        "(ls",
        "ls)",
        "case x in",
        "echo ${open",
        "ls >",
        "a\0b",
        "$(" * 40 + ")" * 40,
        "sh -c " * 40 + "nmap",
        "x " * shell.LONGEST,
    ],
)
def test_what_cannot_be_told_says_so_and_is_never_known(line: str) -> None:
    assert UNTOLD in programs(line)
    assert new_programs([line], user.shipped().programs)


def test_known_programs_are_no_news_and_new_ones_are_told_in_order() -> None:
    known = user.shipped().programs
    assert new_programs(["python -m pytest -q", "make && git diff | head > x; tar -x"], known) == []
    assert new_programs(["zz; nmap | head", "aa"], known) == ["aa", "nmap", "zz"]


def test_a_programs_name_steers_no_terminal() -> None:
    (told,) = programs("'\x1b[31mred\u202e'")
    assert told.isprintable()
    (told,) = programs("x" * 1000)
    assert len(told) <= 60


@pytest.mark.parametrize(
    "line, told",
    [
        ("curl https://a.example/x?y=1", {"a.example"}),
        ("curl -sSLo file a.example/x", {"a.example"}),
        ("curl 'HTTP://user:pass@A.Example.:8080/'", {"a.example"}),
        ("curl ht'tp:'//a.example", {"a.example"}),
        ("wget -q -O file ftp://a.example", {"a.example"}),
        ("python -c \"from urllib.request import urlopen; urlopen('https://a.example')\"", {"a.example"}),
        ("exec 3<>/dev/tcp/a.example/80", {"a.example"}),
        ("curl http://[2001:db8::1]:80/ http://10.0.0.1/", {"2001:db8::1", "10.0.0.1"}),
        ("git clone git@a.example:b/c", {"a.example"}),
        ("git clone -b main https://a.example/b", {"a.example"}),
        ("git clone ../other", set()),
        ("git push origin main", {"(the repository's remote)"}),
        ("git -C sub fetch --depth 1", {"(the repository's remote)"}),
        ("git add . && git commit -m 'push and pull'", set()),
        ("scp file me@a.example:/tmp && rsync -a . b.example:x", {"a.example", "b.example"}),
        ("ssh -p 22 me@a.example ls", {"a.example"}),
        ("nc -w 3 a.example 80", {"a.example"}),
        ("sh -c 'curl a.example'", {"a.example"}),
        ("timeout 5 env A=1 curl a.example", {"a.example"}),
        ("pip install -r requirements.txt", {"pypi.org"}),
        ("python3 -m pip install x", {"pypi.org"}),
        ("uv pip install x && uv sync", {"pypi.org"}),
        ("pip install --no-index -f wheels x", set()),
        ("pip install -i https://index.example/simple x", {"index.example"}),
        ("npm ci && yarn", {"registry.npmjs.org"}),
        ("npm test && npm run build", set()),
        ("cargo install x", {"crates.io"}),
        ("cargo build --offline && cargo test", set()),
        ("go get a.example/x", {"proxy.golang.org"}),
        ("docker pull alpine", {"registry-1.docker.io"}),
        ("sudo apt-get install -y jq", {"(the system's package mirrors)"}),
        ("curl $URL", {UNTOLD}),
        ('wget "https://$HOST/x"', {UNTOLD}),
        ("curl localhost:8000/x http://127.0.0.2/ http://[::1]:3/ [::1]:3 http://a.localhost", set()),
        ("cat file:///etc/passwd && ls && python tools/change.py", set()),
        ("echo 'open https://a.example", {"a.example"}),
    ],
)
def test_hosts_are_told_by_address_and_by_what_programs_ask_by_themselves(line: str, told: set[str]) -> None:
    assert hosts(line) == told


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "127.8.9.1", "::1", "[::1]", "::ffff:127.0.0.1", "0.0.0.0"]
)
def test_this_machine_is_no_host(host: str) -> None:
    assert loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.example", "127.0.0.1.example", "10.0.0.1", "notlocalhost", "", "1270001"]
)
def test_nothing_else_passes_for_this_machine(host: str) -> None:
    assert not loopback(host)


def test_all_lines_of_a_ticket_are_looked_at() -> None:
    spec: dict[str, Any] = {
        "with": {"steps": ["one", {"run": "two", "ok": [0, 1]}]},
        "accept": [{"run": "three"}, "named", {"metric": "rows", "min": 1}],
        "rollback": "sh: five",
    }
    checks = resolve(spec["accept"], {"named": {"run": "four"}})
    assert commands(spec, checks) == ("one", "two", "three", "four", "five")
    assert commands({"with": {"recipe": "x"}}, ()) == ()


@pytest.mark.parametrize(
    "path, steers",
    [
        ("tickets/TICKET-1.yaml", True),
        ("checks.yaml", True),
        ("jetbox.yaml", True),
        (".github/workflows/ci.yml", True),
        (".GitHub/workflows/ci.yml", True),
        (".gitlab-ci.yml", True),
        ("sub/.gitattributes", True),
        (".gitmodules", True),
        (".githooks/pre-commit", True),
        ("tools/hooks/post-merge", True),
        (".husky/pre-push", True),
        (".vscode/tasks.json", True),
        ("src/tickets/a.py", False),
        ("sub/checks.yaml", False),
        ("src/github/a.py", False),
        ("src/hooks.py", False),
        ("Makefile", False),
        ("digit/a", False),
    ],
)
def test_files_that_steer_others_are_named(path: str, steers: bool) -> None:
    assert notable(["a.txt", path]) == ([path] if steers else [])


# Whatever the line ------------------------------------------------------------------------------------

PIECES = [
    "$(", ")", "`", '"', "'", "((", "$((", "))", "{", "}", "${", "<<E", "\nE\n", "\n", ";", ";;",
    "case x in ", "esac", "for ", "do ", "done", "[[", "]]", "|", "&", "<(", ">", "a", " ", "\\", "$", "=(",
    "sh -c ", "eval ", "env -S ", "xargs ", "find -exec ", "http://", "@", "[", "é", "\0", "#", "timeout ",
    "git clone ", "-", "--", "function ", "f()", "2>", "curl ", ":", "\u2028", "\udc80",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=60).map("".join)))
def test_no_line_breaks_the_reading_of_it(line: str) -> None:
    told = programs(line)
    assert all(each and each.isprintable() for each in told | hosts(line))
    try:
        shell.commands(line)
    except shell.Unreadable:
        assert told == {UNTOLD}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(PLACES), min_size=1, max_size=6), st.sampled_from([";", "&&", "\n", "|", "&"])
)
def test_no_line_before_another_hides_a_program(lines: list[str], between: str) -> None:
    whole = "\n".join(lines)
    assert "nmap" in programs(whole)
    assert "last" in programs(f"{whole}\nls {between} last")


@pytest.mark.parametrize("piece", [*PIECES, "sh -c '", "$((x ", "eval '", "a=(", "{ ", "if "])
def test_the_longest_line_is_read_in_time(piece: str) -> None:
    line = piece * (shell.LONGEST // len(piece))
    began = time.process_time()
    programs(line)
    hosts(line)
    assert (
        time.process_time() - began < 5
    )  # some 0.6 s at worst where this was measured; quadratic takes minutes


def test_a_sum_longer_than_is_looked_through_asks_instead_of_costing_time() -> None:
    assert programs(f"echo $(({'1+' * 100}1))") == frozenset()
    assert programs(f"echo $(({'1+' * 1000}1))")

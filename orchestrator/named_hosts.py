"""The hosts that a shell line names, by their addresses or by programs that ask a well-known one.

Comfort for whoever approves, not a boundary: an address can be put together in a thousand ways. Commands
have no network, whatever they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address

from orchestrator import shell
from orchestrator.shell import Command, Word, words
from orchestrator.started import UNTOLD, name, positional, printable, started

_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,30}://(?:[^\s/?#'\"<>\\]{0,200}@)?"
    r"(\[[0-9A-Fa-f:.%]+\]|[^\s/?#:@'\"<>(){}\[\]\\,;|&`$]+)"
)
_DEVICE = re.compile(r"/dev/(?:tcp|udp)/([^/\s'\"]+)")  # bash opens a connection under this name
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_:]([A-Za-z0-9_.:-]*[A-Za-z0-9_.])?")
_REMOTE = re.compile(r"(?:[^@/\s:]+@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{2,253}):(?!//)")  # host:path
_ORIGIN, _MIRRORS = "(the repository's remote)", "(the system's package mirrors)"

_INDEX = [
    ("pip pip3", "install download wheel index search", "pypi.org"),
    ("uv", "add sync lock tool", "pypi.org"),
    ("pipx", "install run upgrade inject", "pypi.org"),
    ("uvx", "", "pypi.org"),
    ("poetry pdm pipenv", "add install lock update sync", "pypi.org"),
    ("twine", "upload", "upload.pypi.org"),
    ("npm pnpm yarn bun", "install i ci add update upgrade publish dlx create audit", "registry.npmjs.org"),
    ("cargo", "install add update fetch search publish", "crates.io"),
    ("go", "get install", "proxy.golang.org"),
    ("gem", "install update fetch push", "rubygems.org"),
    ("bundle bundler", "install update add", "rubygems.org"),
    ("composer", "install update require create-project", "repo.packagist.org"),
    ("dotnet nuget", "restore add push install", "api.nuget.org"),
    ("conda mamba micromamba", "install create update search", "conda.anaconda.org"),
    ("docker podman", "pull run build push login", "registry-1.docker.io"),
    ("ollama", "pull run push", "registry.ollama.ai"),
    ("huggingface-cli hf", "download upload login", "huggingface.co"),
    ("rustup", "install update toolchain target component", "static.rust-lang.org"),
    ("gh", "", "github.com"),
    ("brew", "install update upgrade fetch tap", "formulae.brew.sh"),
    ("apt apt-get dnf yum apk pacman zypper", "install update upgrade add source -S -Sy -Syu", _MIRRORS),
]
_INDEXES = {program: (words(verbs), host) for names, verbs, host in _INDEX for program in names.split()}
"""What a program reaches by itself, with one of these words, or with any where there are none."""
_STAYS = words("--no-index --offline --help --version")
_OTHER_INDEX = words("-i --index-url --default-index --registry")

_FETCHERS = words("curl wget aria2c lynx")
_FETCHER_TAKES = words(
    "-o -d -H -X -u -A -e -b -c -F -m -w -x -K -E -T -r -C -t -U -P -Y -y -z --output --data --data-raw"
    " --form --data-binary --data-urlencode --header --request --user --user-agent --referer --cookie"
    " --cookie-jar --max-time --write-out --proxy --config --cert --key --cacert --retry --connect-timeout"
    " --upload-file --output-document --timeout --tries --range"
)
_COPIERS = words("scp rsync sftp")
_CALLERS = words("ssh mosh ping ping6 nc ncat netcat telnet ftp tftp nmap dig host nslookup traceroute whois")
_CALLER_TAKES = words("-p -i -l -o -F -J -L -R -D -b -c -e -m -w -W -S -E -Q -B -I -O -P -s -x -q -T -t")
_GIT_TAKES = words(
    "-C -c --git-dir --work-tree --namespace --exec-path --depth -b --branch -o --origin -j --jobs"
)
_GIT_ASKS = words("fetch pull push ls-remote")


@lru_cache(1024)  # asked before every step of every ticket
def hosts(command: str) -> frozenset[str]:
    """The hosts that a shell line names, or that a program in it asks by itself; this machine is none."""
    text = command[: shell.LONGEST]
    found = {host for pattern in (_URL, _DEVICE) for host in pattern.findall(text)}
    try:
        for each in started(command):
            found.update(_named(each))
    except shell.Unreadable:
        pass  # such a line asks by its programs, which cannot be told either
    return frozenset(printable(_plain(host)) for host in found if _plain(host) and not loopback(host))


def loopback(host: str) -> bool:
    """Whether a name or an address means this machine itself."""
    host = _plain(host)
    if host in ("localhost", "ip6-localhost", "ip6-loopback") or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").casefold()


def _named(command: Command) -> Iterable[str]:
    """The hosts of one command, by what is known of its program."""
    program = name(command[0]).rpartition("/")[2]
    texts = [word.text for word in command]
    if program.startswith("python") and "-m" in texts[:-1]:
        command = command[texts.index("-m") + 1 :]
        program = command[0].text
    if program == "uv" and [word.text for word in positional(command)[:1]] == ["pip"]:
        program = "pip"
    for word in command[1:]:
        if "://" in word.text:
            told = _URL.findall(word.text)  # once more: quotes may have cut the address in two
            yield from told if told or word.sure else [UNTOLD]
    if program == "git":
        yield from _git(command)
    elif program in _FETCHERS:
        takes = _FETCHER_TAKES | ({"-O"} if program == "wget" else set())  # curl's takes nothing
        for word in positional(command, takes):
            if "://" not in word.text:
                yield from _address(word)
    elif program in _COPIERS:
        yield from (match[1] for word in command[1:] if (match := _REMOTE.match(word.text)))
    elif program in _CALLERS:
        for word in positional(command, _CALLER_TAKES)[:1]:
            yield from _address(word)
    elif program in _INDEXES:
        yield from _index(program, [word.text for word in command[1:]])


def _address(word: Word) -> Iterable[str]:
    """A host that stands without a scheme, perhaps with a user, a port, a path."""
    text = re.split("[/?#]", word.text)[0].rpartition("@")[2]
    if text.startswith("["):
        text = text.partition("]")[0].removeprefix("[")
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if _HOST.fullmatch(text):
        yield text
    elif not word.sure:
        yield UNTOLD


def _index(program: str, texts: Sequence[str]) -> Iterable[str]:
    verbs, host = _INDEXES[program]
    given = {text.split("=")[0] for text in texts}
    if given & (_STAYS | _OTHER_INDEX):
        return  # another index is named by its address
    if not verbs or verbs & given or (program == "yarn" and not texts):
        yield host


def _git(command: Command) -> Iterable[str]:
    asked = positional(command, _GIT_TAKES)
    verb = asked[0].text if asked else ""
    if verb not in ("clone", "remote", "submodule", *_GIT_ASKS):
        return
    given = [match[1] for word in asked[1:] if (match := _REMOTE.match(word.text))]
    yield from given
    first = asked[1] if len(asked) > 1 else Word("")
    if not first.sure:
        yield UNTOLD
    elif not given and _asks_origin(verb, first.text):
        yield _ORIGIN


def _asks_origin(verb: str, first: str) -> bool:
    """Whether git would ask a remote that the repository itself names."""
    if verb == "remote":
        return first in ("update", "show", "prune")
    if verb == "submodule":
        return first in ("update", "sync")
    return verb in _GIT_ASKS and "/" not in first and first != "."

"""The system's own voice: severe alerts and digests, one sentence at a time.

What is spoken may come from anywhere, so it is data all the way: it goes through standard input to a program
whose arguments are fixed but for the language of the person's own settings; no shell, nothing that could be
read as an option, no speech command in it. A sentence that takes longer than `LONGEST` is cut off.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.sandbox.system import system_tool
from state.alerts import TYPES, Alert, Line, Throttle, alert_in, at_most
from state.events import Event
from state.journal import Journal

LONGEST = 20.0
"""Seconds for a sentence: 200 characters take some 15."""

_LAST_WORDS = 1.0  # seconds for what is being said when the engine leaves, and for one severe line more
_WAITING = 4  # lines that wait to be spoken; more than that become one
_MOST = 200  # characters
_POLL = 0.05  # seconds between looks at whether the voice is done

# Read from standard input, and the language from the environment: neither is ever part of the script.
_POWERSHELL = (
    "[Console]::InputEncoding=[Text.Encoding]::UTF8;Add-Type -AssemblyName System.Speech;"
    "$s=New-Object System.Speech.Synthesis.SpeechSynthesizer;"
    "try{$s.SelectVoiceByHints('NotSet','NotSet',0,[Globalization.CultureInfo]$env:JETBOX_VOICE)}catch{};"
    "$s.Speak([Console]::In.ReadToEnd())"
)


class Mute(Exception):
    """No voice spoke; the message says what was tried."""


@dataclass(frozen=True)
class Speaker:
    """A program that speaks what it reads."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def speakers(
    language: str, platform: str = sys.platform, which: Callable[[str], str | None] | None = None
) -> list[Speaker]:
    """The voices of this machine, best first; none where there is nothing to speak with.

    `language` is a tag such as `en` or `de-AT`, as `AlertSettings` lets through: it cannot be an option.
    """
    which = which or _system_voice
    short = re.split("[-_]", language)[0].lower()
    wanted: tuple[tuple[str, tuple[str, ...], Mapping[str, str]], ...]
    if platform == "win32":
        script = ("-NoProfile", "-NonInteractive", "-Command", _POWERSHELL)
        wanted = (("powershell", script, {"JETBOX_VOICE": language}),)
    elif platform == "darwin":
        wanted = (("say", (), {}),)
    else:
        wanted = (
            # Its other way, the text as an argument, takes it for a format string.
            ("spd-say", ("--wait", "--language", short, "--pipe-mode"), {}),
            ("espeak-ng", ("-v", language.lower(), "--stdin"), {}),
            ("espeak", ("-v", short, "--stdin"), {}),
        )
    return [
        Speaker(name, (path, *arguments), environment)
        for name, arguments, environment in wanted
        if (path := which(name))
    ]


def _system_voice(name: str) -> str | None:
    """Where a voice of the system's is; PATH may lead into a project's environment."""
    if sys.platform == "win32":
        root = Path(os.environ.get("SYSTEMROOT") or r"C:\Windows")
        found = root / "System32" / "WindowsPowerShell" / "v1.0" / f"{name}.exe"
        return str(found) if found.is_file() else None
    return system_tool(name)


def spoken(text: str) -> str:
    """What can be said of a text: words and plain stops, in one sentence of at most 200 characters.

    Brackets and exclamation marks go too: `[[...]]`, `<...>` and `!-!` are commands to some voices.
    """
    plain = "".join(char if char.isalnum() or char in " .,:;?'/-" else " " for char in text)
    words = [word for part in plain.split() if (word := part.strip("-"))]
    return " ".join(words)[:_MOST].strip()


def mac_voice(listing: str, language: str) -> str | None:
    """The first voice of a language in what `say -v ?` prints: `Anna    de_DE    # Hallo ...`."""
    wanted = language.replace("-", "_").lower()
    for line in listing.splitlines():
        found = re.match(r"(\S.*?)\s+([a-z]{2,3}_\w+)\s+#", line)
        if found and (found[2].lower() == wanted or found[2].lower().startswith(f"{wanted}_")):
            return found[1]
    return None


def speak(speaker: Speaker, text: str, leave: threading.Event, longest: float = LONGEST) -> bool:
    """Have a text spoken, and wait; False when the program does not speak. After `longest` it is cut off."""
    ends = time.monotonic() + longest
    try:
        child = subprocess.Popen(
            speaker.argv,
            env={**os.environ, **speaker.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=sys.platform != "win32",
        )
    except OSError:
        return False
    try:
        assert child.stdin is not None
        with contextlib.suppress(OSError):  # it is gone already: its exit code tells
            child.stdin.write(f"{text}\n".encode())
        with contextlib.suppress(OSError):
            child.stdin.close()
        while child.poll() is None:
            now = time.monotonic()
            if leave.is_set():
                ends = min(ends, now + _LAST_WORDS)
                leave = threading.Event()  # once is enough
            if now >= ends:
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_POLL)
        return child.returncode == 0
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of it goes on speaking."""
    if sys.platform == "win32":
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


class VoiceSink:
    """Speaks what is severe, at once, and the rest in digests: what happens while the engine is there."""

    name = "voice"

    def __init__(
        self, language: str, found: list[Speaker], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._language, self._speakers, self._clock = language, found, clock
        self._throttle = Throttle()
        self._seq: int | None = None
        self._waiting: list[Line] = []
        self._leave = threading.Event()
        self._voiced = False

    def begin(self, journal: Journal, head: int) -> int:
        """Behind what has been heard already."""
        self._seq = head if self._seq is None else self._seq
        return self._seq

    def take(self, events: list[Event], journal: Journal) -> None:
        """Keep what is to be said of them."""
        views = journal.views
        found = [told for e in events if e.type in TYPES and (told := alert_in(e, views)) is not None]
        self._add(self._throttle.offer(found, self._clock()))
        self._seq = events[-1].seq

    def said(self, found: Alert) -> None:
        """Say it before what waits."""
        self._add(self._throttle.offer([found], self._clock()))

    def rest(self) -> float | None:
        """Say the next line.

        Raises:
            Mute: nothing here speaks.
        """
        if self._leave.is_set():  # no time any more but for what is severe
            self._waiting = at_most([line for line in self._waiting if line.severe], 1)
        else:
            self._add(self._throttle.due(self._clock()))
        if self._waiting:
            self._say(spoken(self._waiting.pop(0).text))
        if self._waiting:
            return 0.0
        return None if self._leave.is_set() else self._throttle.wait(self._clock())

    def leave(self) -> None:
        """Cut short what is being said."""
        self._leave.set()

    def _add(self, lines: list[Line]) -> None:
        self._waiting = at_most([*self._waiting, *lines], _WAITING)

    def _say(self, text: str) -> None:
        if not self._voiced:
            self._voiced = True
            self._speakers = [with_voice(each, self._language) for each in self._speakers]
        for each in self._speakers:
            if speak(each, text, self._leave):
                return
        tried = ", ".join(each.name for each in self._speakers)
        raise Mute(f"no voice could be heard (tried {tried}): see `jetbox doctor`")


def with_voice(speaker: Speaker, language: str) -> Speaker:
    """With a voice of the language, where that is chosen by the voice's name."""
    if speaker.name != "say":
        return speaker
    try:
        listing = subprocess.run(
            [speaker.argv[0], "-v", "?"],
            capture_output=True,
            timeout=5,
            check=False,
            stdin=subprocess.DEVNULL,
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return speaker
    voice = mac_voice(listing, language)
    return Speaker("say", (speaker.argv[0], "-v", voice)) if voice else speaker

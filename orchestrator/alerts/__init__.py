"""Who is told of what happens, beside the cockpit: a status file for programs, a voice for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.alerts.follower import Follower

if TYPE_CHECKING:
    from orchestrator.user import AlertSettings
    from state.alerts import Alert
    from state.workspace import Workspace


class Alerts:
    """All that an engine tells, as a person's settings ask for it. Nothing here blocks it or raises."""

    def __init__(self, workspace: Workspace, settings: AlertSettings, head: int) -> None:
        """`head` is the seq of the last event before this engine."""
        self._followers: list[Follower] = []
        if settings.file:
            from orchestrator.alerts.file import FileSink

            self._followers.append(Follower(workspace.journal, head, FileSink(workspace)))
        if settings.voice:
            from orchestrator.alerts.voice import VoiceSink, speakers

            if found := speakers(settings.language):  # `jetbox doctor` says where there is none
                sink = VoiceSink(settings.language, found)
                self._followers.append(Follower(workspace.journal, head, sink))

    def start(self) -> None:
        """Begin to follow the journal, which has to be there."""
        for follower in self._followers:
            follower.start()

    def news(self) -> None:
        """The journal has grown."""
        for follower in self._followers:
            follower.news()

    def say(self, found: Alert) -> None:
        """Tell what the journal cannot say itself."""
        for follower in self._followers:
            follower.say(found)

    def close(self) -> None:
        """Tell what there is, and end."""
        for follower in self._followers:
            follower.close()

"""What Ollama's own client sends, carried by our exchanges: bounded, stoppable, each whole by a deadline.

Importing this loads httpx: it is done when a client is made.
"""

from __future__ import annotations

import threading

import httpx

from orchestrator.providers.wire import Wire


class Through(httpx.BaseTransport):
    """A transport of closed answers.

    Args:
        wire: to the server.
        within: seconds for each whole answer.
        stop: ends one that is under way.
    """

    def __init__(self, wire: Wire, within: float, stop: threading.Event | None) -> None:
        self._wire, self._within, self._stop = wire, within, stop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request. Its headers are left behind: the client puts a key from the environment there.

        Raises:
            ProviderError: transport, stall.
        """
        path = request.url.raw_path.decode("ascii")
        status, data = self._wire.answer(request.method, path, request.read(), self._within, self._stop)
        return httpx.Response(status, headers={"content-type": "application/json"}, content=data)

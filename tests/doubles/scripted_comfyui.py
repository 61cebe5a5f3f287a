"""A double of a ComfyUI server, whose large model cannot be here: its HTTP, and images made of their seed."""

from __future__ import annotations

import struct
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scripting import Double, Gone, Http

FAULTS = (
    "hang",  # takes a prompt and never answers
    "html",  # a page of words in place of the image
    "huge",  # an answer without end
    "dies",  # closes the connection, and from then on answers nothing
    "error",  # the workflow failed
    "refuses",  # 400 for the prompt
    "nameless",  # takes the prompt and gives it no name
    "imageless",  # done, with no image
    "bomb",  # a PNG that claims a thousand times its size
    "torn",  # a PNG that ends in the middle
)


def png(seed: int, side: int = 64, claims: int = 0) -> bytes:
    """A picture that follows from a seed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = bytes((seed >> shift) & 255 for shift in (0, 8, 16))
    rows = b"".join(b"\0" + colour * side for _ in range(side))
    head = struct.pack(">IIBBBBB", claims or side, claims or side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class ScriptedComfyUI(Double):
    """A ComfyUI.

    Args:
        faults: by the number of the prompt, from 0.
        checkpoints: models that it has.
        foreign: it is another program that answers with a page.
    """

    def __init__(
        self,
        faults: dict[int, str] | None = None,
        checkpoints: tuple[str, ...] = ("small.safetensors",),
        foreign: bool = False,
    ) -> None:
        super().__init__()
        self.faults, self.checkpoints, self.foreign = faults or {}, checkpoints, foreign
        self.prompts: list[dict[str, Any]] = []
        self.looks: dict[str, int] = {}
        self.dead = False

    def answer(self, http: Http, path: str, body: dict[str, Any]) -> None:
        """Answer one request."""
        parts = urlsplit(path)
        if self.dead:
            raise Gone
        if self.foreign:
            self._bytes(http, b"<html>Something else</html>", "text/html")
        elif parts.path == "/system_stats":
            http.closed({"system": {"comfyui_version": "0.3.76", "os": "posix"}, "devices": []})
        elif parts.path == "/object_info/CheckpointLoaderSimple":
            inputs = {"required": {"ckpt_name": [list(self.checkpoints), {"tooltip": "the model"}]}}
            http.closed({"CheckpointLoaderSimple": {"input": inputs}})
        elif parts.path == "/prompt":
            self._take(http, body)
        elif parts.path.startswith("/history/"):
            self._tell(http, parts.path.rpartition("/")[2])
        elif parts.path == "/view":
            self._show(http, parse_qs(parts.query)["filename"][0])
        else:
            http.closed({"error": "not found"}, 404)

    def _take(self, http: Http, body: dict[str, Any]) -> None:
        nth = len(self.prompts)
        fault = self.faults.get(nth, "")
        if fault == "hang":
            self.wait(http)
        if fault == "refuses":
            http.closed({"error": {"type": "invalid_prompt", "message": "no such node"}}, 400)
            return
        self.prompts.append(body["prompt"])
        http.closed({"number": nth} if fault == "nameless" else {"prompt_id": f"prompt-{nth}", "number": nth})

    def _tell(self, http: Http, name: str) -> None:
        nth = int(name.rpartition("-")[2])
        fault = self.faults.get(nth, "")
        if fault == "dies":
            self.dead = True
            raise Gone
        self.looks[name] = self.looks.get(name, 0) + 1
        if self.looks[name] == 1:  # still at work when first looked at
            http.closed({})
            return
        status = {"status_str": "error" if fault == "error" else "success", "completed": fault != "error"}
        image = {"filename": f"{name}.png", "subfolder": "", "type": "output"}
        outputs = {} if fault in ("imageless", "error") else {"7": {"images": [image]}}
        http.closed({name: {"outputs": outputs, "status": status}})

    def _show(self, http: Http, file: str) -> None:
        nth = int(file.removesuffix(".png").rpartition("-")[2])
        fault = self.faults.get(nth, "")
        seed = next(each["inputs"]["seed"] for each in self.prompts[nth].values() if "seed" in each["inputs"])
        if fault == "html":
            self._bytes(http, b"<html>not today</html>", "text/html")
        elif fault == "huge":
            http.begin("image/png")
            while True:
                http.send(b"\x89PNG\r\n\x1a\n" * 8192)
        elif fault == "bomb":
            self._bytes(http, png(seed, claims=60_000))
        elif fault == "torn":
            self._bytes(http, png(seed)[:60])
        else:
            self._bytes(http, png(seed))

    def _bytes(self, http: Http, data: bytes, kind: str = "image/png") -> None:
        http.send_response(200)
        http.send_header("content-type", kind)
        http.send_header("content-length", str(len(data)))
        http.end_headers()
        http.wfile.write(data)

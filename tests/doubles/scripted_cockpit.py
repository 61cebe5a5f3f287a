"""A cockpit that is none: `python -P scripted_cockpit.py [HOW]` speaks the packets of Textual's web driver.

It says `ready WIDTH x HEIGHT`, then echoes what is typed. HOW makes it go wrong as a real one may:

    deaf     does not end with its input
    flood    draws without an end
    huge     announces a packet that is larger than any
    bad      complains and ends before it is ready
    files    offers a file and an address to the browser, and then draws `done`
"""

from __future__ import annotations

import json
import os
import sys
import time


def say(kind: bytes, body: bytes) -> None:
    """One packet."""
    sys.stdout.buffer.write(kind + len(body).to_bytes(4, "big") + body)
    sys.stdout.buffer.flush()


def main(how: str) -> int:
    """Speak until the input ends."""
    if how == "bad":
        print("jetbox: this folder is in no git repository \x1b[2J", file=sys.stderr)
        return 2
    sys.stdout.buffer.write(b"__GANGLION__\n")
    if how == "huge":
        sys.stdout.buffer.write(b"D\xff\xff\xff\xff")
        sys.stdout.buffer.flush()
    if how == "files":
        say(b"M", json.dumps({"type": "open_url", "url": "http://evil.example/", "new_tab": True}).encode())
        say(b"M", json.dumps({"type": "deliver_file_start", "key": "k", "path": "/etc/passwd"}).encode())
        say(b"P", b"deliver_chunk")
        say(b"D", b"done")
    say(b"D", f"ready {os.environ['COLUMNS']} x {os.environ['ROWS']}".encode())
    while how == "flood":
        say(b"D", b"x" * 65536)
    read = sys.stdin.buffer.read
    while head := read(5):
        body = read(int.from_bytes(head[1:], "big"))
        say(b"D", head[:1] + b":" + body)
    while how == "deaf":
        time.sleep(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))

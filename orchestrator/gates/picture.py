"""A small PNG: its pixels, and whether all of them are the same."""

from __future__ import annotations

import struct
import zlib

_LARGEST = 64 * 1024 * 1024
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def plain(png: bytes) -> bool:
    """Whether the picture has one colour. 8 bits a channel, not interlaced, as screenshots are.

    Raises:
        ValueError: it is no such picture.
    """
    width, height, channels, data = _read(png)
    stride = width * channels
    before, first = bytearray(stride), b""
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(data[start + 1 : start + 1 + stride])
        _undo(data[start], line, before, channels)
        first = first or bytes(line[:channels])
        if bytes(line) != first * width:
            return False
        before = line
    return True


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height, and three bytes a pixel: grey is grey, and what is transparent is left out of account.

    Raises:
        ValueError: it is no such picture.
    """
    width, height, channels, data = _read(png)
    stride, out, before = width * channels, bytearray(), bytearray(width * channels)
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(data[start + 1 : start + 1 + stride])
        _undo(data[start], line, before, channels)
        for at in range(0, stride, channels):
            out += line[at : at + 3] if channels >= 3 else line[at : at + 1] * 3
        before = line
    return width, height, bytes(out)


def _read(png: bytes) -> tuple[int, int, int, bytes]:
    if png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR":
        raise ValueError("no PNG")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    channels = _CHANNELS.get(colour, 0)
    size = (width * channels + 1) * height
    if bits != 8 or interlaced or not channels or not 0 < size <= _LARGEST:
        raise ValueError("a PNG of another form")
    at, packed = 8, b""
    while at + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        packed += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    data = zlib.decompressobj().decompress(packed, size)
    if len(data) != size:
        raise ValueError("a PNG that is cut")
    return width, height, channels, data


def _undo(kind: int, line: bytearray, above: bytearray, channels: int) -> None:
    """Undo the filter of a row, in place (PNG specification, 9.2)."""
    if kind == 0:
        return
    if kind > 4:
        raise ValueError("a PNG with a filter that there is not")
    for index, value in enumerate(line):
        left = line[index - channels] if index >= channels else 0
        up = above[index]
        corner = above[index - channels] if index >= channels else 0
        add = (left, up, (left + up) // 2, _paeth(left, up, corner))[kind - 1]
        line[index] = (value + add) & 0xFF


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda each: abs(guess - each))

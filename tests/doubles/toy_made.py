"""Tiny GGUF files, made by the tests themselves: small doubles of a model on the real llama.cpp."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

from toy_transcripts import transcripts

TOY = "toy.gguf"
WAIT = 280.0  # seconds for one on a busy machine


def toy(shared: Path) -> Path:
    """A folder with the toy that has memorised `toy_transcripts`, made once for all that share a folder."""
    folder = shared / "toy-models"
    try:
        folder.mkdir()
    except FileExistsError:
        until = time.monotonic() + WAIT
        while not (folder / TOY).exists():
            assert not (folder / "failed").exists(), "another process could not make the toy"
            assert time.monotonic() < until, "nobody made the toy"
            time.sleep(0.1)
        return folder
    request = folder / "request.json"
    request.write_text(json.dumps({"transcripts": transcripts()}))
    command = [sys.executable, "-P", "-m", "model.toy", str(request), str(folder / TOY)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=WAIT)
    if done.returncode:
        (folder / "failed").touch()
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    return folder


def endless(path: Path, template: str | None = None) -> None:
    """A model that was never trained and never ends, for what happens while one generates."""
    _untrained(path, {} if template is None else {"tokenizer.chat_template": template})


def vectors(path: Path) -> None:
    """An untrained model that makes embeddings: the mean over a text's tokens."""
    _untrained(path, {"llama.pooling_type": 1})


def untrained(folder: Path) -> Path:
    """The same folder, with `endless.gguf` and `vectors.gguf` in it as well, whoever else does that now."""
    for name, make in (("endless.gguf", endless), ("vectors.gguf", vectors)):
        if not (folder / name).exists():
            part = folder / f"{name}.{os.getpid()}"
            make(part)
            part.replace(folder / name)
    return folder


def _untrained(path: Path, facts: dict[str, str | int]) -> None:
    from model.toy import bpe, net, practice, train, written
    from model.toy.gguf import gguf

    tokenizer = bpe.learn(["some words and other words, with more words between some of them"], 30, 6)
    made = net.Net(net.Shape(256 + len(tokenizer.merges) + len(practice.SPECIAL)), 3)
    made.weights["out"][:, 256 + len(tokenizer.merges) :] = 0  # a special token never wins
    made.weights["out"][:, :32] = made.weights["out"][:, 127:256] = 0  # nor what is no plain text
    with patch.object(written, "gguf", lambda known, tensors: gguf({**known, **facts}, tensors)):
        path.write_bytes(written.written(train.Learnt(made, tokenizer, 0, 0.0), "untrained"))

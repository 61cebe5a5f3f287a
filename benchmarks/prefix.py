"""What an append-only conversation saves: `python benchmarks/prefix.py` prints one JSON object.

A conversation as the agent holds it (rules, a ticket with files, then replies and observations in turns) is
sent turn by turn to the real llama.cpp through the embedded provider. `append_only` is the share of all
prompt tokens from the second turn on that came from the prefix cache; `clock` is the same with the time
of day in the rules' first line, as a reference in the same run; `switched` has another conversation between
each two turns, as a planner's or a critic's is. `first` is the median time to the first token, as a ratio to
`clock`.

Without `--model` the model is an untrained one of the smallest size, made on the spot: what is cached does
not depend on what a model knows, times do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.toy import bpe, net, practice, train, written
from orchestrator.providers.base import Final, Message, Request, Usage
from orchestrator.providers.embedded import Embedded

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("orchestrator/edits.py", "state/blobs.py", "orchestrator/runs.py", "state/durable.py")


def untrained(path: Path, texts: list[str]) -> None:
    """A model that knows nothing, with a tokenizer of some four characters a token."""
    tokenizer = bpe.learn(texts, 1500, 8)
    small = net.Net(net.Shape(256 + len(tokenizer.merges) + len(practice.SPECIAL)), 1)
    path.write_bytes(written.written(train.Learnt(small, tokenizer, 0, 0.0), "untrained"))


def conversation(turns: int) -> list[Message]:
    """Rules, a ticket with files, and for each turn a reply and what was seen: some 1,500 characters."""
    source = "\n".join((ROOT / name).read_text() for name in SOURCES)
    rules = Message("system", source[:3000])
    said = [rules, Message("user", source[3000:9000])]
    at = 9000
    for turn in range(turns):
        reply = f"I look further.\n\nREAD file{turn}.py" if turn % 3 else source[at : at + 700]
        seen = (source * 4)[at + 700 : at + 700 + (400, 900, 2500)[turn % 3]]
        said += [Message("assistant", reply), Message("user", f"Turn {turn}\n{seen}")]
        at += 1500
    return said


def walk(provider: Embedded, request: Request, said: list[Message], how: str) -> list[Usage]:
    """Send every turn; what each cost."""
    other = (Message("system", "You judge a plan. " * 60), Message("user", "The plan. " * 200))
    costs = []
    for turn, end in enumerate(range(2, len(said) + 1, 2)):
        messages = list(said[:end])
        if how == "clock":
            messages[0] = Message(
                "system", f"It is 12:{turn // 60:02}:{turn % 60:02}.\n{messages[0].content}"
            )
        if how == "switched" and turn:
            list(provider.chat(replace(request, messages=other), threading.Event()))
        last: Any = list(provider.chat(replace(request, messages=tuple(messages)), threading.Event()))[-1]
        assert isinstance(last, Final)
        costs.append(last.usage)
    return costs


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--turns", type=int, default=12)
    options.add_argument("--context", type=int, default=16_384)
    options.add_argument("--model", type=Path, help="a GGUF file instead of the untrained one")
    options.add_argument("--threads", type=int, default=0)
    chosen = options.parse_args()
    said = conversation(chosen.turns)
    found: dict[str, Any] = {"turns": chosen.turns, "characters": sum(len(each.content) for each in said)}
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.model or Path(folder) / "untrained.gguf"
        if not chosen.model:
            untrained(path, [each.content for each in said])
        request = Request(path.name, (), chosen.context, 4)
        firsts = {}
        for how in ("clock", "append_only", "switched"):
            provider = Embedded("embedded", str(path.parent), threads=chosen.threads)
            try:
                provider.load(path.name, chosen.context, -1, threading.Event())
                later = walk(provider, request, said, how)[1:]
            finally:
                provider.close()
            prompt = sum(each.prompt or 0 for each in later)
            found[how] = round(sum(each.cached or 0 for each in later) / prompt, 4)
            found["prompt_tokens"] = prompt
            firsts[how] = statistics.median(each.first for each in later)
        found["first"] = {how: round(each / firsts["clock"], 3) for how, each in firsts.items()}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

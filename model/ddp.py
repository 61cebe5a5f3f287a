"""Several devices for one run: PyTorch's own DistributedDataParallel over ranks, one process each.

The engine's child (`model.train`) starts the ranks itself where a request says `devices: N`; by hand, and
over several machines that share the run folder, it is `torchrun --nproc-per-node N -m model.ddp RUN_DIR`.
Rank 0 alone writes the run folder and decides what comes next; the others learn it from a broadcast before
every step, so all of them do the same at the same step.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from model.errors import NoRanks

if TYPE_CHECKING:
    from torch import nn

RENDEZVOUS = "JETBOX_RENDEZVOUS"
_GRACE = 30.0  # seconds for ranks to write a checkpoint after a TERM
_AFTER = 5.0  # seconds for the others to end by themselves after one rank failed
_TOGETHER = 10.0  # seconds for the others to end after rank 0, which alone has something left to write
_INTERRUPTED = 143


class Alone:
    """One process: all of this costs nothing."""

    rank, ranks = 0, 1

    def agree(self, numbers: Sequence[float]) -> list[float]:
        """Rank 0's numbers, on every rank."""
        return list(numbers)

    def gather(self, data: bytes) -> list[bytes]:
        """Every rank's bytes, on rank 0; nothing on the others."""
        return [data]

    def wrap(self, stepper: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over the ranks."""
        return stepper

    def quiet(self, stepper: nn.Module) -> contextlib.AbstractContextManager[Any]:
        """Backward passes within add up gradients on their own rank."""
        return contextlib.nullcontext()

    def keep(self, session: object) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


_kept: list[object] = []


class Ranks(Alone):
    """One of several processes."""

    def __init__(self, device_type: str) -> None:
        """Meet the other ranks; NoRanks where the system lets no process talk to another."""
        import torch.distributed as dist

        self.rank, self.ranks = place()
        meeting = os.environ.get(RENDEZVOUS)
        backend = "nccl" if device_type == "cuda" else "gloo"
        try:
            dist.init_process_group(
                backend,
                init_method=None if meeting is None else Path(meeting).as_uri(),
                rank=self.rank,
                world_size=self.ranks,
            )
            # What to do next is agreed between CPUs: no device has to wait for it.
            self._talk = dist.group.WORLD if backend == "gloo" else dist.new_group(backend="gloo")
        except (RuntimeError, OSError, ValueError) as error:
            raise NoRanks(
                f"{self.ranks} processes can't talk to each other here, use devices: 1 ({error})"
            ) from error

    def agree(self, numbers: Sequence[float]) -> list[float]:
        import torch
        import torch.distributed as dist

        agreed = torch.tensor(numbers, dtype=torch.float64)
        dist.broadcast(agreed, 0, group=self._talk)
        return [float(each) for each in agreed.tolist()]

    def gather(self, data: bytes) -> list[bytes]:
        import torch
        import torch.distributed as dist

        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.ranks)]
        dist.all_gather(sizes, torch.tensor([len(data)]), group=self._talk)
        longest = max(int(size) for size in sizes)
        own = torch.zeros(longest, dtype=torch.uint8)
        own[: len(data)] = torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8)[: len(data)]
        if self.rank:
            dist.gather(own, None, 0, group=self._talk)
            return []
        whole = [torch.empty_like(own) for _ in range(self.ranks)]
        dist.gather(own, whole, 0, group=self._talk)
        return [part[: int(size)].numpy().tobytes() for part, size in zip(whole, sizes, strict=True)]

    def wrap(self, stepper: nn.Module) -> nn.Module:
        from torch.nn.parallel import DistributedDataParallel

        # A learner may leave out parts of itself in a step, as a halting head that is not trained yet.
        return DistributedDataParallel(stepper, find_unused_parameters=True)

    def quiet(self, stepper: nn.Module) -> contextlib.AbstractContextManager[Any]:
        return stepper.no_sync()  # type: ignore[no-any-return,operator]  # the module is `wrap`'s

    def keep(self, session: object) -> None:
        """Hold it until the process ends: DDP's own end can wait for ever for a thread that waits for it."""
        _kept.append(session)

    def close(self) -> None:
        import torch.distributed as dist

        dist.destroy_process_group()


def place() -> tuple[int, int]:
    """The rank of this process, and how many there are, as its starter set them."""
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def launch(run_dir: Path, ranks: int, threads: int) -> int:
    """Run the ranks as processes and wait; the status is 0 when all ended well, 143 after a TERM.

    A rank that fails takes the others with it: they would wait for it for ever.
    """
    with tempfile.TemporaryDirectory(prefix="jetbox-ranks-") as meeting:
        shared = {
            **os.environ,
            "WORLD_SIZE": str(ranks),
            "OMP_NUM_THREADS": str(threads),
            RENDEZVOUS: str(Path(meeting) / "store"),
        }
        # It would warn, at every start, of the price of looking for weights that a step left out.
        shared.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
        if loopback:
            shared.setdefault("GLOO_SOCKET_IFNAME", loopback)  # the ranks of one machine need nothing else
        command = [sys.executable, "-P", "-m", "model.ddp", str(run_dir)]
        children: list[subprocess.Popen[bytes]] = []
        with _terminations() as asked:
            try:
                for rank in range(ranks):
                    own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                    children.append(subprocess.Popen(command, env=own, stdin=subprocess.PIPE))
                return _await(children, asked)
            finally:
                for child in children:
                    if child.poll() is None:
                        child.kill()
                    child.wait()
                    if child.stdin:
                        child.stdin.close()


def _await(children: Sequence[subprocess.Popen[bytes]], asked: list[int]) -> int:
    deadline: float | None = None
    told = failed = False
    while any(child.poll() is None for child in children):
        now = time.monotonic()
        if asked and not told:
            told, deadline = True, now + _GRACE
            for child in children:
                child.terminate()
        if not failed and any(child.poll() not in (None, 0) for child in children):
            failed, deadline = True, min(now + _AFTER, deadline or math.inf)
        elif deadline is None and children[0].poll() == 0:
            deadline = now + _TOGETHER
        if deadline is not None and now > deadline:
            break
        time.sleep(0.05)
    if asked:
        return _INTERRUPTED
    return next((1 for child in children if child.poll() not in (0, None)), 0)


@contextlib.contextmanager
def _terminations() -> Iterator[list[int]]:
    """A list that a TERM is written into, in place of ending this process."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str]) -> int:
    """One rank, as started by `launch` or `torchrun`."""
    if len(argv) != 1 or "RANK" not in os.environ:
        print("usage: torchrun --nproc-per-node N -m model.ddp RUN_DIR", file=sys.stderr)
        return 2
    if RENDEZVOUS in os.environ:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    from model import train

    try:
        status = train.work(Path(argv[0]).resolve(), several=True)
    except SystemExit as interrupted:
        status = int(str(interrupted.code))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what `keep` holds is never taken apart


def _end_with_parent() -> None:
    """End at once when the process that started the ranks is gone: it held the run's lock for them."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os._exit(1)


def packed(values: dict[str, tuple[float, int]]) -> bytes:
    """Sums and counts as bytes that lose nothing."""
    return json.dumps(values).encode()


def unpacked(parts: Sequence[bytes]) -> dict[str, float]:
    """The means over all ranks."""
    sums: dict[str, list[float]] = {}
    for part in parts:
        for name, (total, count) in json.loads(part).items():
            held = sums.setdefault(name, [0.0, 0.0])
            held[0] += total
            held[1] += count
    return {name: total / count for name, (total, count) in sums.items() if count}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

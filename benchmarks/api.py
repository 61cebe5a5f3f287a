"""What `/reason` costs over real HTTP: one client, then eight at once, beside a bare FastAPI route.

    python benchmarks/api.py                      # makes a small core: a 6x6 board part, hardly trained
    python benchmarks/api.py --core REPOSITORY    # every part of the core that is in force there
    python benchmarks/api.py --requests 500

`jetbox serve` runs as it does for a person, its mind is the real one, and everything (server, mind, clients)
shares one CPU where the system can hold them to it (`--cpus`). Questions are the parts' own examples; none is
asked twice. The route it is held against answers the same body as it came, in a process of its own, in the
same run. Times are a client's, on the wall. CPU time of the server and of the mind holds under load, too:
what both take for one request (`cpu_p95_ms`) is what one CPU that has nothing else to do needs for it, but
for the client. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
WARM = 8  # requests before anything is measured
CLIENTS = 8
GOAL = 60.0  # ms, p95 of one client


class Client:
    """One connection that is kept."""

    def __init__(self, port: int, path: str, token: str = "") -> None:
        self._path = path
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, body: bytes) -> tuple[float, int]:
        """Milliseconds and status."""
        began = time.perf_counter()
        self._line.request("POST", self._path, body, self._headers)
        reply = self._line.getresponse()
        reply.read()
        return (time.perf_counter() - began) * 1000, reply.status


def measured(port: int, path: str, token: str, bodies: list[bytes], clients: int, pid: int) -> dict[str, Any]:
    """Ask all bodies, shared by so many clients; of one client, CPU time is taken request by request."""
    spent: list[float] = []

    def one(own: list[bytes]) -> list[tuple[float, int]]:
        client, found = Client(port, path, token), []
        for body in own:
            before = sum(cpu(pid)) if clients == 1 else 0.0
            found.append(client.ask(body))
            if clients == 1:
                spent.append((sum(cpu(pid)) - before) * 1000)
        return found

    before, began = cpu(pid), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = [
            each for part in pool.map(one, [bodies[at::clients] for at in range(clients)]) for each in part
        ]
    took, after = time.perf_counter() - began, cpu(pid)
    row = {
        "p50_ms": round(statistics.median(ms for ms, _ in found), 2),
        "p95_ms": round(p95([ms for ms, _ in found]), 2),
        "errors": sum(status != 200 for _, status in found),
        "per_second": round(len(found) / took, 1),
        "server_cpu_ms": round((after[0] - before[0]) * 1000 / len(found), 2),
        "mind_cpu_ms": round((after[1] - before[1]) * 1000 / len(found), 2),
    }
    return row | ({"cpu_p95_ms": round(p95(spent), 2)} if spent else {})


def p95(values: list[float]) -> float:
    """The 95th of a hundred."""
    return sorted(values)[int(0.95 * (len(values) - 1))]


def cpu(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children."""
    parent = psutil.Process(pid)
    return _spent(parent), sum(_spent(each) for each in parent.children(recursive=True))


def _spent(process: psutil.Process) -> float:
    """To the nanosecond where Linux tells it, by threads that live; else as the system counts."""
    tasks = Path(f"/proc/{process.pid}/task")
    found = 0.0
    with contextlib.suppress(OSError, psutil.Error):
        if not tasks.is_dir():
            spent = process.cpu_times()
            return float(spent.user + spent.system)
        for task in tasks.iterdir():
            found += int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


@contextlib.contextmanager
def running(command: list[str], cwd: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A child that prints one line of JSON when it listens."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True, env=env)
    assert child.stdout is not None
    try:
        yield child, json.loads(child.stdout.readline())
    finally:
        child.terminate()
        child.wait(30)


def echo() -> None:
    """A bare FastAPI application that answers what it is sent."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/echo")
    def answer(body: dict[str, Any]) -> dict[str, Any]:
        return body

    with socket.socket(proto=socket.IPPROTO_TCP) as line:  # else asyncio leaves Nagle's wait of 40 ms on
        line.bind(("127.0.0.1", 0))
        print(json.dumps({"port": line.getsockname()[1]}), flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[line])


def small(folder: Path, steps: int) -> Path:
    """A repository with a core of one 6x6 board part: as large as a useful one, hardly trained."""
    from benchmarks.reason import child
    from orchestrator.core import adopt as adopting
    from orchestrator.workspaces import find, set_up
    from state.approval_key import KeySealer
    from state.journal import Journal

    repository = folder / "repository"
    subprocess.run(["git", "init", "-q", "--template=", str(repository)], check=True)
    recipe = {"recipe": "puzzle/sudoku", "count": 800, "seed": 1, "options": {"size": 6, "difficulty": "any"}}
    child(folder / "data", "datagen.run", {"schema": 1, **recipe})
    config = yaml.safe_load((ROOT / "configs" / "training" / "hrm-sudoku6.yaml").read_text())
    config.pop("core_minutes", None)
    config |= {"steps": steps, "assess": {"every": steps, "rows": 32}}
    asked = {
        "schema": 1,
        "learner": "hrm",
        "config": config,
        "data": str(folder / "data" / "data"),
        "seed": 0,
    }
    child(folder / "run", "model.train", {**asked, "device": "cpu"})
    adopting.calibrate = lambda *_: None  # what its certainty is worth is nothing yet
    workspace = find(repository)
    set_up(workspace)
    with contextlib.closing(Journal.open(workspace.journal)) as journal:
        adopting.adopt(workspace, journal, KeySealer(), {"sudoku6": folder / "run"}, by="benchmark")
    return repository


def questions(repository: Path, count: int) -> dict[str, list[bytes]]:
    """Requests of each part that answers, none twice."""
    from orchestrator.lab.mind import Mind
    from orchestrator.workspaces import find

    made: dict[str, list[bytes]] = {}
    with Mind.open(find(repository)) as mind:
        for part in mind.ask("status")["parts"]:
            if part["task"] == "latents":
                continue
            asked = (mind.ask("example", part=part["name"], seed=seed)["question"] for seed in range(count))
            made[part["name"]] = [json.dumps(each).encode() for each in asked]
    return made


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", type=Path, help="a repository with a core in force")
    parser.add_argument("--requests", type=int, default=120, help="of one client, and of eight together")
    parser.add_argument("--cpus", type=int, default=1, help="that all share; 0: as many as there are")
    parser.add_argument("--steps", type=int, default=4, help="of training, where a small core is made")
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.echo:
        echo()
        return
    with tempfile.TemporaryDirectory() as scratch:
        repository = given.core.resolve() if given.core else small(Path(scratch), given.steps)
        bodies = questions(repository, 2 * given.requests + WARM)
        if given.cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cpus])
        print(json.dumps(compared(repository, bodies, given), indent=2))


def compared(repository: Path, bodies: dict[str, list[bytes]], given: argparse.Namespace) -> dict[str, Any]:
    """Each part, and the bare route."""
    count = given.requests
    serve = [sys.executable, "-P", "-m", "orchestrator.main", "serve", "--port", "0", "--json"]
    bare = [sys.executable, str(Path(__file__).resolve()), "--echo"]
    found: dict[str, Any] = {"requests": count, "clients": CLIENTS, "cpus": given.cpus or os.cpu_count()}
    found["load_before"] = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with running(serve, repository) as (server, said), running(bare, repository) as (other, listens):
        port = int(said["address"].rpartition(":")[2])
        for name, own in bodies.items():
            warm = Client(port, "/reason", said["token"])
            for body in own[:WARM]:
                warm.ask(body)
            own = own[WARM:]
            reason = [port, "/reason", said["token"]]
            row = {
                "one": measured(*reason, own[:count], 1, server.pid),
                "eight": measured(*reason, own[count:], CLIENTS, server.pid),
                "bare_one": measured(listens["port"], "/echo", "", own[:count], 1, other.pid),
                "bare_eight": measured(listens["port"], "/echo", "", own[count:], CLIENTS, other.pid),
            }
            row["p95_over_bare"] = round(row["one"]["p95_ms"] / row["bare_one"]["p95_ms"], 1)
            row["goal_met"] = row["one"]["p95_ms"] < GOAL and not row["eight"]["errors"]
            found[name] = row
    return found


if __name__ == "__main__":
    main()

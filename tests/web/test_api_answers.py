"""The API answers what the cockpit can ask, and errors are a line and a word."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from web_doubles import BOARD, GREET, SCENE, Served, scripted, served, workspace, write

from orchestrator.web.desk import AT_ONCE
from state.events import New


def test_a_question_is_answered_with_its_uncertainty(api: Served) -> None:
    status, _, said = api.ask("POST", "/reason", {"part": "sudoku4", "cells": BOARD, "trace": True})
    assert status == 200
    assert len(said["answer"]) == 16 and 0 < said["probability"] <= 1 and said["abstained"] is False
    assert said["by"] == "core" and len(said["trace"]) == 3 and len(said["doubts"]) == 16
    status, _, said = api.ask("POST", "/reflect", GREET)
    assert status == 200 and said["answer"] == "red" and said["consistency"]["variants"] == 0.9
    assert said["reflection"]["agreeing"] == 4
    status, _, said = api.ask("POST", "/encode", {"scene": SCENE})
    assert status == 200 and len(said["latent"]) == 96


def test_a_correction_is_a_lesson_of_a_memory_and_the_core_can_be_asked_without_it(api: Served) -> None:
    asked = {**GREET, "scene": {**SCENE, "seed": 11}}
    status, _, said = api.ask("POST", "/correct", {**asked, "answer": "dax", "memory": "mine"})
    assert status == 200 and said["core_unchanged"] is True
    assert (said["before"]["answer"], said["after"]["answer"]) == ("red", "dax")
    assert [each["name"] for each in api.ask("GET", "/memories")[2]["memories"]] == ["mine"]
    assert api.ask("POST", "/reason", asked)[2]["by"] == "mine"
    assert api.ask("POST", "/reason", {**asked, "memory": "off"})[2]["answer"] == "red"


def test_tickets_and_what_waits_are_there_as_the_command_line_has_them(api: Served) -> None:
    status, _, board = api.ask("GET", "/tickets")
    assert status == 200 and [each["id"] for each in board["tickets"]] == ["TICKET-001"]
    status, _, one = api.ask("GET", "/tickets/TICKET-001")
    assert status == 200 and one["ticket"]["goal"] == "Something to be done"
    assert api.ask("GET", "/tickets/TICKET-009")[::2] == (
        404, {"error": "no ticket TICKET-009", "reason": "ticket"},
    )  # fmt: skip
    assert api.ask("GET", "/inbox")[::2] == (200, [])
    health = api.ask("GET", "/health")[2]
    assert health["ok"] and health["mind"]["state"] == "ready" and health["events"] >= 1
    assert api.ask("GET", "/core")[2]["core"] is None


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "json"),
        (b"\xff\xfe", 400, "json"),
        (b"[" * 100_000, 400, "json"),
        (b"1" * 10_000, 400, "json"),
        (b"", 422, "request"),
        (b"[]", 422, "request"),
        (b'{"part": "sudoku4"}', 422, "request"),
        (b'{"part": "sudoku4", "cells": [1.0]}', 422, "request"),
        (b'{"part": "sudoku4", "cells": [NaN]}', 422, "request"),
        (b'{"part": "sudoku4", "cells": ["1"]}', 422, "request"),
        (b'{"part": "sudoku4", "cells": [1, 2]}', 422, "request"),
        (b'{"part": "\\ud800", "cells": [1]}', 422, "request"),
        (b'{"part": "../core", "cells": [1]}', 422, "request"),
        (b'{"part": "sudoku4", "cells": [1], "approve": true}', 422, "request"),
        (b'{"part": "sudoku4", "cells": [1], "\\u001b]0;x": 1}', 422, "request"),
        (b'{"part": "scenes", "question": "a?", "scene": {"objects": []}, "memory": "no"}', 404, "memory"),
        (b'{"part": "nobody", "cells": [1]}', 422, "request"),
        (b'{"part": "scenes", "question": "a", "image": {"size": 9, "rgb": "AA"}, "do": 1}', 422, "request"),
    ],
)  # fmt: skip
def test_what_a_client_got_wrong_is_4xx_with_one_line(
    api: Served, body: bytes, status: int, reason: str
) -> None:
    found, _, said = api.ask("POST", "/reason", body)
    assert (found, said["reason"]) == (status, reason), said
    assert said["error"] and "\n" not in said["error"] and "Traceback" not in said["error"]
    assert said.keys() == {"error", "reason"}


def test_a_body_is_json_by_its_own_word(api: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        body = b'{"part": "sudoku4", "cells": [1]}'
        assert api.ask("POST", "/reason", body, Content_Type=kind)[0] == 422


def test_there_is_no_other_way_in(api: Served) -> None:
    for path in ("/approve", "/deny", "/revert", "/docs", "/redoc", "/tickets/", "//health", "/lab"):
        status, _, said = api.ask("GET", path)
        assert (status, said["reason"]) == (404, "path")
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        status, _, said = api.ask(method, "/core")
        assert (status, said["reason"]) == (405, "method")
    status, _, made = api.ask("GET", "/openapi.json")
    assert status == 200 and not any(
        word in path for path in made["paths"] for word in ("approve", "deny", "revert", "rollback")
    )


def test_eight_clients_at_once_each_get_their_own_answer(api: Served) -> None:
    def client(number: int) -> list[bool]:
        line = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        good = []
        for turn in range(10):
            cells = [0] * 16
            cells[number] = turn % 4 + 1
            status, _, said = api.on(line, "POST", "/reason", {"part": "sudoku4", "cells": cells})
            good.append(status == 200 and said["answer"][number] == cells[number])
        line.close()
        return good

    with ThreadPoolExecutor(8) as pool:
        assert all(all(each) for each in pool.map(client, range(8)))


def test_a_mind_killed_in_the_middle_of_a_request_is_told_and_the_next_one_is_answered(
    tmp_path: Path,
) -> None:
    place = workspace(tmp_path / "p")
    with served(place, scripted(place, "slow")) as found:
        assert found.ask("POST", "/reason", GREET)[0] == 200
        results: list[tuple[int, str]] = []

        def correct() -> None:
            status, _, said = found.ask("POST", "/correct", {**GREET, "answer": "dax"})
            results.append((status, said["reason"]))

        asking = threading.Thread(target=correct)
        asking.start()
        time.sleep(0.1)
        mind = found.desk._mind
        assert mind is not None and mind.pid is not None
        os.kill(mind.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        asking.join(20)
        assert results == [(503, "gone")]
        assert found.ask("POST", "/reason", GREET)[0] == 200


@pytest.mark.parametrize(
    ("fault", "reason"), [("not-ready", "core"), ("rubbish", "gone"), ("crash", "gone"), ("wrong-id", "gone")]
)
def test_a_mind_that_goes_wrong_is_503_with_a_line(tmp_path: Path, fault: str, reason: str) -> None:
    place = workspace(tmp_path / "p")
    with served(place, scripted(place, fault)) as found:
        status, _, said = found.ask("POST", "/reason", GREET)
        assert (status, said["reason"]) == (503, reason) and "\n" not in said["error"]
        assert found.ask("GET", "/health")[0] == 200
        assert found.ask("GET", "/tickets")[0] == 200


def test_more_questions_than_can_wait_are_told_so_and_all_else_is_still_answered(tmp_path: Path) -> None:
    place = workspace(tmp_path / "p")
    with served(place, scripted(place, "slow")) as found, ThreadPoolExecutor(AT_ONCE + 8) as pool:
        asked = [pool.submit(found.ask, "POST", "/reason", GREET) for _ in range(AT_ONCE + 8)]
        time.sleep(0.3)
        assert found.ask("GET", "/health")[0] == 200
        answers = [each.result()[::2] for each in asked]
    statuses = [status for status, _ in answers]
    assert statuses.count(200) >= AT_ONCE and set(statuses) == {200, 503}
    assert {said["reason"] for status, said in answers if status == 503} == {"busy"}


def test_another_word_on_the_core_opens_the_mind_anew(tmp_path: Path) -> None:
    place = workspace(tmp_path / "p")
    with served(place) as found:
        assert found.ask("POST", "/reason", GREET)[0] == 200
        mind = found.desk._mind
        assert mind is not None
        first = mind.pid
        write(place, New("core.refused", {"what": "x", "why": "y", "by": "z"}))
        assert found.ask("POST", "/reason", GREET)[0] == 200 and mind.pid == first
        write(place, New("core.set", {"core": "a" * 64, "before": None, "why": "adopt", "proposal": ""}))
        assert found.ask("POST", "/reason", GREET)[0] == 200 and mind.pid != first


def test_the_end_of_the_server_answers_who_waits_for_the_mind_and_ends_the_mind(tmp_path: Path) -> None:
    place = workspace(tmp_path / "p")
    with served(place, scripted(place, "hang")) as found:
        results: list[tuple[int, str]] = []

        def ask() -> None:
            status, _, said = found.ask("POST", "/reason", GREET)
            results.append((status, said["reason"]))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for each in asking:
            each.start()
        time.sleep(0.5)
        mind = found.desk._mind
        assert mind is not None and mind.pid is not None
        pid = mind.pid
        found.run.should_exit = True
        for each in asking:
            each.join(20)
        assert len(results) == 3 and {status for status, _ in results} == {503}
        assert not psutil.pid_exists(pid)

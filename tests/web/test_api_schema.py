"""The API does what its description says: requests made from the description find no fault in it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_doubles import Served, served, workspace

from orchestrator.web import app

pytest.importorskip("schemathesis")


EXAMPLES = 3
"""Good requests for each route, and as many bad ones; always the same."""


@functools.cache
def described() -> dict[str, Any]:
    return app.described()


@functools.cache
def loaded() -> Any:
    import schemathesis
    from schemathesis.checks import load_all_checks

    load_all_checks()
    return schemathesis.openapi.from_dict(described())


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(workspace(tmp_path_factory.mktemp("schema") / "project")) as found:
        yield found


def routes() -> list[tuple[str, str]]:
    paths = described()["paths"]
    return [(method.upper(), path) for path, each in paths.items() for method in each if path != "/events"]


@pytest.mark.parametrize(("method", "path"), routes(), ids=lambda each: str(each).strip("/"))
@pytest.mark.parametrize("with_token", [True, False], ids=["token", "no-token"])
def test_no_request_makes_a_server_error_and_every_answer_is_as_described(
    lively: Served, method: str, path: str, with_token: bool
) -> None:
    import hypothesis
    import schemathesis
    from hypothesis import HealthCheck
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        negative_data_rejection,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema = loaded()
    schema.config.update(base_url=lively.serving.address)
    operation = schema[path][method]
    checks: list[Any] = [
        content_type_conformance, response_headers_conformance, response_schema_conformance,
        status_code_conformance,
    ]  # fmt: skip
    headers = {"Authorization": f"Bearer {lively.serving.token}"} if with_token else {}
    seen: list[int] = []

    def one(case: Any) -> None:
        reply = case.call(headers=headers)
        seen.append(reply.status_code)
        if with_token:
            wanted = [*checks, negative_data_rejection] if case.meta else checks
            case.validate_response(reply, checks=wanted)
            assert reply.status_code < 500, (reply.status_code, reply.text)
        else:
            case.validate_response(reply, checks=checks)
            assert reply.status_code in (400, 401, 413), reply.status_code

    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        test = hypothesis.given(case=operation.as_strategy(generation_mode=mode))(one)
        settings = hypothesis.settings(
            max_examples=EXAMPLES if with_token else 1, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        settings(test)()
    assert len(seen) > 1


def test_every_example_of_the_description_is_answered(lively: Served) -> None:
    made = described()
    asked = 0
    for path, each in made["paths"].items():
        if "post" not in each:
            continue
        held = each["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for example in made["components"]["schemas"][held.rpartition("/")[2]]["examples"]:
            status, _, said = lively.ask("POST", path, example)
            wanted = {"/apply_update": 404, "/propose_update": 404}.get(path, 200)
            assert status == wanted, (path, said)
            asked += 1
    assert asked >= 8


def test_every_error_is_declared_for_every_route_and_every_route_wants_the_token() -> None:
    made = described()
    assert made["security"] == [{"token": []}]
    for path, methods in made["paths"].items():
        for method, each in methods.items():
            codes = set(each["responses"])
            assert {"200", "400", "401", "403", "413", "422", "503"} <= codes, (method, path)
            assert "security" not in each
            for code, said in each["responses"].items():
                if code != "200":
                    ref = said["content"]["application/json"]["schema"]["$ref"]
                    assert ref == "#/components/schemas/Error"


def test_the_description_is_shipped_by_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "orchestrator.main", "schema", "api"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout) == json.loads(json.dumps(described()))

"""`models.yaml`: the person counts most, a project grants itself nothing, a fault is told at its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.models import catalogue
from orchestrator.models.catalogue import Catalogue, load
from orchestrator.user import User
from state.workspace import Workspace
from tickets.problems import TicketError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "person"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "person"))
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    (tmp_path / "person" / "jetbox").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    return Workspace(tmp_path / "project")


def read(place: Workspace, project: str = "", person: str = "", *servers: str) -> Catalogue:
    if project:
        place.models.write_text(project)
    if person:
        catalogue.path().write_text(person)
    return load(place, User(servers=servers))


def problems(place: Workspace, project: str = "", person: str = "", *servers: str) -> list[str]:
    with pytest.raises(TicketError) as caught:
        read(place, project, person, *servers)
    return [str(each) for each in caught.value.problems]


def test_the_shipped_file_serves_every_role_on_this_machine_alone(place: Workspace) -> None:
    found = read(place)
    assert found.roles.keys() == {"planner", "critic", "coder", "reviewer", "quick", "writer", "embed"}
    assert all(each.local for each in found.sources.values())
    assert found.sources["ollama"].at == "127.0.0.1:11434"
    assert found.policy == "serial" and found.reserve == 1 << 30
    for role, wishes in found.roles.items():
        assert len(wishes) == len({each.key for each in wishes}), role
        assert role in ("quick", "embed") or all(each.context >= 16_384 for each in wishes)


def test_a_project_replaces_whole_roles_and_the_person_those_of_the_project(place: Workspace) -> None:
    project = "roles:\n  coder: [{model: a}]\n  critic: [{model: b}]\n"
    found = read(place, project, "roles:\n  critic: [{model: c, context: 4096, think: low}]\n")
    assert [each.model for each in found.roles["coder"]] == ["a"]
    assert [(each.model, each.context, each.think) for each in found.roles["critic"]] == [("c", 4096, "low")]
    assert len(found.roles["planner"]) > 3


def test_a_provider_that_a_later_file_moves_is_moved_for_the_roles_of_the_earlier(place: Workspace) -> None:
    found = read(place, "", "providers: {ollama: {kind: ollama, at: 'box.lan:11434'}}\n", "box.lan:11434")
    moved = {each.source.at for each in found.roles["coder"] if each.source.name == "ollama"}
    assert moved == {"box.lan:11434"}
    assert not found.sources["ollama"].local


def test_memory_and_heat_are_the_person_s(place: Workspace) -> None:
    found = read(place, "", "memory: {policy: packed}\nheat: {hot: 80, cool: 70}\n")
    assert (found.policy, found.reserve, found.heat.hot, found.heat.cool) == ("packed", 1 << 30, 80, 70)
    catalogue.path().unlink()
    assert problems(place, "memory: {policy: packed}\n")[0].startswith(
        "models.yaml:1:1: memory: is not a key"
    )


def test_ollama_is_where_the_environment_says_if_it_may_be_reached(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9999")
    assert read(place).sources["ollama"].at == "127.0.0.1:9999"
    monkeypatch.setenv("OLLAMA_HOST", "elsewhere.example:11434")
    refused = read(place).sources["ollama"].refused
    assert "elsewhere.example" in refused and "`servers`" in refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "providers: {x: {kind: openai, at: 'evil.example:80'}}",
            "models.yaml:1:35: providers.x.at: names evil",
        ),
        ("providers: {x: {kind: openai, at: '127.0.0.1:22'}}", "which may not be reached"),
        ("providers: {x: {kind: openai, at: '::bad::'}}", "providers.x.at: is '::bad::', expected"),
        ("providers: {x: {kind: olama}}", "did you mean 'ollama'?"),
        ("providers: {x: {kind: embedded, at: /etc}}", "leads out of the project"),
        ("providers: {x: {kind: embedded, at: ../other}}", "leads out of the project"),
        ("providers: {x: {kind: embedded, at: 'a/../../b'}}", "leads out of the project"),
        ("roles: {coder: [{model: ../../key.gguf, provider: embedded}]}", "leads out of the project"),
        ("roles: {coder: [{model: /etc/passwd, provider: embedded}]}", "roles.coder[0].model: leads out"),
        ("roles: {coder: [{model: a, provider: olama}]}", "did you mean 'ollama'?"),
        ("roles: {coder: [{model: a, contxt: 5}]}", "did you mean 'context'?"),
        ("roles: {coder: [{model: a, context: 5}]}", "is the number 5, expected at least 512"),
        ("roles: {coder: [{model: a, think: often}]}", "roles.coder[0].think"),
        ("roles: {coder: []}", "roles.coder: has 0 items, expected at least 1"),
        ("roles: {cook: [{model: a}]}", "roles.cook"),
        ("roles: coder", "models.yaml:1:8: roles: is"),
    ],
)
def test_a_project_s_fault_is_told_at_its_place(place: Workspace, text: str, says: str) -> None:
    found = problems(place, text)
    assert any(says in each for each in found), found
    assert all(each.startswith("models.yaml:1:") for each in found)


@pytest.mark.skipif(os.name == "nt", reason="a link needs a privilege there")
def test_a_link_out_of_the_project_is_followed_before_it_is_believed(
    place: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (place.root / "models").symlink_to(tmp_path / "secret")
    text = "providers: {x: {kind: embedded, at: models}}\nroles: {coder: [{model: a.gguf, provider: x}]}\n"
    assert any("leads out of the project" in each for each in problems(place, text))


def test_the_person_may_name_any_file(place: Workspace, tmp_path: Path) -> None:
    text = f"providers: {{mine: {{kind: embedded, at: {tmp_path / 'big'}}}}}\n"
    found = read(place, "", text + "roles: {coder: [{model: ../x.gguf, provider: mine}]}\n")
    assert found.roles["coder"][0].source.at == str(tmp_path / "big")


def test_faults_of_two_files_are_told_together(place: Workspace) -> None:
    found = problems(place, "roles: {cook: []}\n", "heat: {hot: 50, cool: 60}\n")
    assert any(each.startswith("models.yaml:") for each in found)
    assert any("heat.cool" in each and str(catalogue.path()) in each for each in found)

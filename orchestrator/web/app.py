"""The API: what the cockpit can do, for programs on this machine, without what is a person's.

Every answer is a model of `shapes.py`, every error `{"error": line, "reason": word}`. A client's mistake is
4xx; 503 is what can't be done now. No route approves, denies or reverts. The guard stands before all of it.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from orchestrator import faults
from orchestrator.cli import models
from orchestrator.web import shapes, updates
from orchestrator.web.desk import Desk, Sorry
from orchestrator.web.events import Feed
from state.workspace import Workspace

ABOUT = """What `jetbox serve` answers on this machine alone. Every request has the token of this run in
`Authorization: Bearer`. Nothing here approves: the core changes by a person's key."""
_WORDS = {
    400: "The request can't be read.",
    401: "The token is not there, or is another's.",
    403: "Another name or another site asks.",
    404: "There is no such thing.",
    409: "It does not stand so; the line says why.",
    413: "The body is too large.",
    422: "The request is not one that can be answered.",
    503: "It can't be answered now.",
}
_EVERY = (400, 401, 403, 413, 422, 503)
Declared = dict[int | str, dict[str, Any]]
_INBOX = TypeAdapter(list[models.Proposal])


class Json(Response):
    """A model, written once."""

    media_type = "application/json"


def build(desk: Desk, feed: Feed) -> FastAPI:
    """The application over the services of a workspace."""
    app = FastAPI(
        title="Jetbox",
        version=desk.version(),
        description=ABOUT,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={code: _error(code) for code in _EVERY},
        openapi_tags=[],
    )
    _errors(app, desk)
    _asking(app, desk)
    _updating(app, desk)
    _looking(app, desk)
    _following(app, feed)
    app.openapi_schema = _described(app)
    return app


def _asking(app: FastAPI, desk: Desk) -> None:
    lost: Declared = {404: _error(404)}

    @app.post("/encode", response_model=shapes.Latent)
    def encode(asked: shapes.Encode) -> Response:
        """Turn words, a picture or a scene into the latent that the core has for it."""
        return _said(shapes.Latent, desk.ask("encode", **asked.model_dump(exclude_none=True)))

    @app.post("/reason", response_model=shapes.Answer, responses=lost)
    def reason(asked: shapes.Reason) -> Response:
        """Answer a question, with how sure that is."""
        return _said(shapes.Answer, desk.ask("reason", **asked.model_dump(exclude_none=True)))

    @app.post("/reflect", response_model=shapes.Reflected, responses=lost)
    def reflect(asked: shapes.Reflect) -> Response:
        """Answer a question and look at the answer from all sides: cycle by cycle, and over variants."""
        return _said(shapes.Reflected, desk.ask("reflect", **asked.model_dump(exclude_none=True)))

    @app.post("/correct", response_model=shapes.Corrected, responses=lost)
    def correct(asked: shapes.Correct) -> Response:
        """Teach a working memory the right answer. The core stays as it is."""
        return _said(shapes.Corrected, desk.ask("correct", **asked.model_dump(exclude_none=True)))

    @app.get("/memories", response_model=shapes.Memories)
    def memories() -> Response:
        """The working memories."""
        return _said(shapes.Memories, desk.ask("memory", op="list"))


def _updating(app: FastAPI, desk: Desk) -> None:
    refused: Declared = {404: _error(404), 409: _error(409)}

    @app.post("/propose_update", response_model=shapes.Proposed, responses=refused)
    def propose_update(asked: shapes.ProposeUpdate) -> Response:
        """Write the ticket that measures an update of the core and then asks a person."""
        return _json(shapes.Proposed(ticket=updates.propose(desk, asked.memory, asked.why)))

    @app.post("/apply_update", response_model=shapes.Applied, responses=refused)
    def apply_update(asked: shapes.ApplyUpdate) -> Response:
        """Learn whether an approved update is installed. It approves nothing: until then it is refused."""
        return _json(updates.apply(desk, asked.proposal, asked.digest))

    @app.get("/core", response_model=shapes.Core)
    def core() -> Response:
        """The core as it stands: its version, its parts, who set it when, and what was refused."""
        return _json(shapes.Core.model_validate(updates.current(desk)))


def _looking(app: FastAPI, desk: Desk) -> None:
    @app.get("/tickets", response_model=models.Status)
    def tickets() -> Response:
        """The board, as `jetbox status --json` has it."""
        return _json(desk.tickets())

    @app.get("/tickets/{id}", response_model=models.Show, responses={404: _error(404)})
    def ticket(id: Annotated[str, Path(max_length=64, examples=["TICKET-001"])]) -> Response:
        """One ticket in full, as `jetbox show ID --json` has it."""
        return _json(desk.ticket(id))

    @app.get("/inbox", response_model=list[models.Proposal])
    def inbox() -> Response:
        """What waits for a person, most severe first. A person answers it: `jetbox approve`."""
        return Json(_INBOX.dump_json(desk.inbox()))

    @app.get("/reflections", response_model=shapes.Reflections)
    def reflections(asked: Annotated[shapes.Newest, Query()]) -> Response:
        """What was written down of answers and actions, newest first. Never the content of a question."""
        return _json(shapes.Reflections(reflections=desk.reflections(asked.limit)))

    @app.get("/health", response_model=shapes.Health)
    def health() -> Response:
        """Whether all is well. Nothing is started by asking."""
        line = shapes.Health(
            version=desk.version(), mind=desk.mind(), engine=desk.engine(), events=desk.head()
        )
        return _json(line)


def _following(app: FastAPI, feed: Feed) -> None:
    stream: dict[str, Any] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}

    @app.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"description": "Events of the journal.", **stream}, 409: _error(409)},
    )
    def events(
        last_event_id: Annotated[str | None, Header(max_length=64, examples=["0"])] = None,
    ) -> Response:
        """Follow the journal as server-sent events, after `Last-Event-ID`, or from now on without it."""
        return feed.follow(last_event_id)


def described() -> dict[str, Any]:
    """OpenAPI of all this; nothing is opened for it."""
    desk = Desk(Workspace(FilePath()))
    return build(desk, Feed(desk)).openapi()


# Answers ---------------------------------------------------------------------------------------------


def _json(model: BaseModel) -> Response:
    return Json(model.model_dump_json().encode())


def _said(shape: type[BaseModel], reply: dict[str, Any]) -> Response:
    """What the mind said, held against the shape of its answer."""
    try:
        return _json(shape.model_validate(reply))
    except ValidationError as error:
        faults.tell(error)
        raise Sorry(503, "internal", "the mind said something that is no answer") from None


def _error(code: int) -> dict[str, Any]:
    return {"model": shapes.Error, "description": _WORDS[code]}


def _errors(app: FastAPI, desk: Desk) -> None:
    """Every error is a line and a word, whoever finds it."""

    @app.exception_handler(Sorry)
    async def sorry(_: Request, error: Exception) -> Response:
        assert isinstance(error, Sorry)
        return _wrong(error.status, error.reason, str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if request.url.path == "/apply_update":
            updates.on_record(desk, "apply", "the request is none: nothing is read out of it")
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _wrong(400, "json", "the body is no JSON")
        where = ".".join(str(each) for each in first["loc"] if each != "body")[:200]
        said = str(first["msg"]).removeprefix("Value error, ")[:300]
        return _wrong(422, "request", f"{where}: {said}" if where else said)

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = {400: "json", 404: "path", 405: "method"}.get(error.status_code, "request")
        return _wrong(error.status_code, reason, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return _wrong(503, "internal", "a fault of Jetbox's: where `jetbox serve` runs it is told")


def _wrong(status: int, reason: str, line: str, headers: Any = None) -> Response:
    body = shapes.Error(error=line.encode("utf-8", "replace").decode(), reason=reason)
    return Json(body.model_dump_json().encode(), status, headers)


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI, with the token."""
    made = app.openapi()
    made.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}]
    return made

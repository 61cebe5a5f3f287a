"""The verb that serves: the API of this workspace, to programs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Failed, complain, line

if TYPE_CHECKING:
    from orchestrator.web.server import Serving


def serve(
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0: one that is free.")] = 8721,
    json: Json = False,
) -> int:
    """Serve the API on this machine alone: ask, correct, propose, follow.

    Prints the address and the token of this run, once; the token lies in `.jetbox/serve.token` as long as it
    runs. Ctrl-C ends it. It needs the extra `api`. Nothing can be approved by it.

    Example:
      jetbox serve
      curl -H "Authorization: Bearer $(cat .jetbox/serve.token)" http://127.0.0.1:8721/health
    """
    from orchestrator.cli.reading import here
    from orchestrator.extras import WEB, lacking
    from orchestrator.workspaces import set_up

    workspace = here()
    if missing := lacking(WEB, "`jetbox serve`", "api"):
        raise Failed(missing)
    set_up(workspace)
    from orchestrator.web import server

    def started(found: Serving) -> None:
        if json:
            body = {"address": found.address, "token": found.token, "token_file": str(found.token_file)}
            output.json_object(body, indent=None)
        else:
            line(f"Serving {workspace.root} at {found.address}")
            line(f"  token      {found.token}")
            line(f"  token file {found.token_file} (gone when this ends)")
            line("Ctrl-C ends it")
        print(end="", flush=True)

    try:
        server.serve(workspace, port, started, say=complain)
    except server.CannotServe as error:
        raise Failed(str(error)) from None
    return 0

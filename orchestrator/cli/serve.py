"""The verb that serves: the API of this workspace to programs on this machine, and pages to a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Failed, Wrong, complain, line

if TYPE_CHECKING:
    from orchestrator.web.server import Serving


def serve(
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0: one that is free.")] = 8721,
    page: Annotated[bool, typer.Option("--page", help="Also a page to try the models on.")] = False,
    cockpit: Annotated[bool, typer.Option("--cockpit", help="Also the cockpit in a browser.")] = False,
    json: Json = False,
) -> int:
    """Serve the API on this machine alone: ask, correct, propose, follow.

    Prints the address and the token of this run, once; the token lies in `.jetbox/serve.token` as long as it
    runs. Ctrl-C ends it. It needs the extra `api`. Nothing can be approved by it.

    --page or --cockpit needs the extra `web`, and prints a link for one browser, once. In the cockpit keys
    approve, there as in a terminal: whoever opens the link is taken for you.

    Example:
      jetbox serve
      curl -H "Authorization: Bearer $(cat .jetbox/serve.token)" http://127.0.0.1:8721/health
    """
    from orchestrator.cli.reading import here
    from orchestrator.extras import IN_BROWSER, PAGE, WEB, lacking
    from orchestrator.workspaces import set_up

    if page and cockpit:  # they would be one origin, where a script of the one reaches the other
        raise Wrong("--page or --cockpit: what runs in the page must not press keys in the cockpit")
    workspace = here()
    if missing := lacking(WEB, "`jetbox serve`", "api"):
        raise Failed(missing)
    wanted = (*(PAGE if page else ()), *(IN_BROWSER if cockpit else ()))
    if missing := lacking(wanted, f"`jetbox serve {'--page' if page else '--cockpit'}`", "web"):
        raise Failed(missing)
    set_up(workspace)
    from orchestrator import reach
    from orchestrator.web import pages, server

    def started(found: Serving) -> None:
        if json:
            body = {"address": found.address, "token": found.token, "token_file": str(found.token_file)}
            output.json_object({**body, **({"link": found.link} if found.link else {})}, indent=None)
        else:
            line(f"Serving {workspace.root} at {found.address}")
            line(f"  token      {found.token}")
            line(f"  token file {found.token_file} (gone when this ends)")
            if found.link:
                line(f"  link       {found.link} (for one browser, once)")
            line("Ctrl-C ends it")
        print(end="", flush=True)

    try:
        with reach.guard(frozenset()):  # it is asked, and asks nobody
            server.serve(workspace, port, started, say=complain, mount=pages.mounted(page, cockpit))
    except (server.CannotServe, pages.NoPage) as error:
        raise Failed(str(error)) from None
    return 0

"""Files of a change that reach beyond the change: they steer Jetbox or git, or run elsewhere once pushed.

Shown above the diff when a merge is asked for. Pure; a help for the eye, not a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOTABLE = re.compile(
    r"(tickets|personas)/.*|(checks|jetbox|models)\.yaml"  # Jetbox's own
    r"|(.*/)?\.git[^/]*(/.*)?|(.*/)?\.?(hooks|husky)/.*|lefthook\.ya?ml|\.pre-commit-config\.yaml"
    r"|\.(circleci|woodpecker|forgejo|gitea|buildkite|devcontainer|vscode|idea|zed)/.*"
    r"|\.(travis|drone|woodpecker|appveyor|cirrus)\.ya?ml|(azure|bitbucket)-pipelines\.ya?ml"
    r"|jenkinsfile|\.envrc|\.?mise\.toml",
    re.DOTALL,
)


def notable(changed: Iterable[str]) -> list[str]:
    """Those of the changed paths that steer something, in their order. File systems may ignore case."""
    return [path for path in changed if _NOTABLE.fullmatch(path.casefold())]

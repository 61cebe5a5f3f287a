"""Where a person's own things lie, outside every repository: settings and keys. Paths only."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def config_home() -> Path:
    """The person's own settings: no repository, ticket or model can write here."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "jetbox"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "jetbox"


def data_home() -> Path:
    """The person's own secrets: the key that approvals are sealed with."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "jetbox"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "jetbox"

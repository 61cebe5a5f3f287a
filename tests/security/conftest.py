"""The battery is for Linux: elsewhere nothing here is collected."""

from __future__ import annotations

import sys

collect_ignore_glob = [] if sys.platform == "linux" else ["*.py"]

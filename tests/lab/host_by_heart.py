"""The real host, with a memory by heart for the one that learns: `python host_by_heart.py HOME DIGEST`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

if __name__ == "__main__":
    import tiny_core

    from model.mind import memories
    from orchestrator.lab import host

    memories.methods = tiny_core  # type: ignore[assignment]
    sys.exit(host.main(sys.argv[1:]))

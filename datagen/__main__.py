"""`python -P -m datagen RUN_DIR`: make the data set that RUN_DIR/request.json asks for."""

from __future__ import annotations

import sys
from pathlib import Path

from datagen.run import main

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -P -m datagen RUN_DIR")
    sys.exit(main(Path(sys.argv[1])))

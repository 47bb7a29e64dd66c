"""The figures of a benchmark, as they are printed and kept."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path


def keep(figures: Mapping[str, object], result: Path) -> None:
    """Prints figures as JSON, and writes them to a file."""
    text = json.dumps(figures, indent=2) + "\n"
    result.parent.mkdir(exist_ok=True)
    result.write_text(text)
    sys.stdout.write(text)

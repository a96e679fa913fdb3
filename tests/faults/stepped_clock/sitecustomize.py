"""Python imports this before anything else: `time.time` is then off by the seconds that the file CLOCK_STEP names holds."""

import os
import time
from pathlib import Path

_file = Path(os.environ["CLOCK_STEP"])
_time, _time_ns = time.time, time.time_ns


def _step() -> int:
    return int(_file.read_text() or 0) if _file.is_file() else 0


time.time = lambda: _time() + _step()
time.time_ns = lambda: _time_ns() + _step() * 1_000_000_000

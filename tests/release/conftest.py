"""The tools stand beside the parties, whom they install, too."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/parties"))

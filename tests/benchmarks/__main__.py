"""`python tests/benchmarks`: puts `tests` on the path, as pytest does, and runs the benchmarks."""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import_module("benchmarks.run").main()

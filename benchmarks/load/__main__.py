"""Compile the load engine into its cache: `python -m benchmarks.load`, which `make install` runs."""

import time

from benchmarks.load.engine import compile_all

begins = time.monotonic()
compile_all()
print(f"load engine ready ({time.monotonic() - begins:.1f} s)")

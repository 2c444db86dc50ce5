"""`python -m benchmarks` is `servebench`."""

import sys

from benchmarks.cli import main

sys.exit(main())

"""One file per chart: its question, its answer, its picture. `benchmarks.plot` lists and saves them."""

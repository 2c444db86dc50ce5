"""One file per question. Each defines SCENARIO, and its docstring's first line is the question in the catalogue."""

"""One file per command of `servebench`: its options, and what it does, in order."""

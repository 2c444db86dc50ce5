"""Does a server do what it must? Rules as data, a suite that holds servers to them, and what came of it."""

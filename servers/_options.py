"""What a model is told besides its listener: how many of what, and how long. One record, every default filled in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a model. Times are seconds; what a model has no use for it ignores.

    `connections` is how many it may hold open; beyond that it stops accepting and the kernel's queue holds the rest.
    """

    connections: int = 1000
    workers: int = 16  # processes of the models that prefork
    threads: int = 32  # of pools, in each process; in loops those that run Offload
    send_s: float = 15.0  # of a Send, since the client last took a byte
    linger_s: float = 1.0  # from the stop until idle connections are released
    drain_s: float = 10.0  # from the stop until the rest is cut

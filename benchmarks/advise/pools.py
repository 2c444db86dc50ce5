"""What the models' pools are like as they come, asked of the models themselves."""

import contextlib
from collections.abc import Iterable, Sequence

from benchmarks import catalogue
from benchmarks.advise.design import Pool
from benchmarks.launch import LaunchError, Server


def pools(models: Iterable[str], cpus: Sequence[int]) -> dict[str, Pool]:
    """Of the models whose numbers can be set, what they say when they are ready. One that does not start is left out."""
    found = {}
    with contextlib.ExitStack() as servers:
        tuned = [model for model in models if catalogue.tuned(model) is not None]
        started = {model: Server(model, cpus, wait=False) for model in tuned}
        for server in started.values():
            servers.callback(server.kill)  # nobody has asked it anything
        for model, server in started.items():
            with contextlib.suppress(LaunchError):
                server.wait_ready()
                found[model] = Pool(server.facts.max_connections, server.facts.given)
    return found

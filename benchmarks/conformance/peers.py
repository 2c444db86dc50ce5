"""Other servers, examined beside the models."""

from benchmarks.conformance.subjects import Subject

PEERS: dict[str, Subject] = {}

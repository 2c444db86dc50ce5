"""Which execution model for this workload: measured, not derived.

`workload` is what is asked, `design` makes a scenario and the options of a run from it, `pools` asks the models how large
theirs are, `measured` reads the run's records, `verdict` judges them (a pure function), `sheets` prints.
"""

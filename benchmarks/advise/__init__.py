"""Which execution model for this workload: measured, not derived.

`workload` is what is asked, `design` makes a scenario and the options of a run from it, `calibration` finds out what the
machine needs to know for that, `measured` reads the run's records, `verdict` judges them (a pure function), `sheets` prints.
"""

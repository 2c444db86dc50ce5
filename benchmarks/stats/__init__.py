"""The statistics of a run: pure functions of numbers, without records, models or levels.

A value is measured in a **window**; the windows of a **round** lie next to each other, one of each model; a **replicate**
starts all servers afresh. Values are compared by their logarithms, so differences are ratios.

- `effects`     within one replicate: model and round effects, fitted robustly; the noise between windows
- `scoreboard`  across replicates: ranks, ratios to the best, and for each pair "different", "same" or "open"
- `apart`       two separate runs, which share no replicate
- `difference`  one difference with its error: interval, p-value, test of equivalence; Holm's correction; the call
- `moderation`  variances from few values, drawn towards their common value (empirical Bayes)
- `intervals`   one model alone; percentiles and counts
- `allocation`  how many rounds and replicates a wanted precision takes
"""

"""Servers that a user would write: the same loops as the models', with httptools and without the steps and their rules.

What a model has on top of them is what it costs that all models serve one application: each is measured beside its model
(`servebench run --control`) and the difference published. They serve /hello, break rules that the models keep (deadlines,
limits, the graceful stop), and need nothing but httptools.
"""

"""Parity with torch, op by op, on the inputs that torch tests itself with (its OpInfo records).

`ops` finds helix's function for a record, `bridge` carries arguments over, `compare` judges two results, `walk` goes
through the samples of one op, and `differences` lists what differs on purpose. `python -m tests.parity` walks them all.
"""

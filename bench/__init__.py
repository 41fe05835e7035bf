"""Measures whole nights: ours, the plain script, the naive fan-out, and the best possible.

    world.py       a random fleet, and an AWS that counts what it would bill
    lambdas.py     Lambda: containers, cold starts, the time and CPU of invocations
    machine.py     Step Functions: the transitions that are billed
    script.py      the plain script: one server after the other
    night.py       plays one night one way, and measures it
    bound.py       the lower bound for every way
    figures.py     a night in figures, and many nights in one line

`make bench` runs them; docs/benchmark.md says what is simulated.
"""

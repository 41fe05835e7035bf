"""Measures whole nights: ours beside the plain script, the naive fan-out and what is possible.

    world.py       a random fleet, and an AWS that counts and is paid
    lambdas.py     Lambda: containers, cold starts, what an invocation lasts and computes
    machine.py     Step Functions: the transitions that are billed
    script.py      the plain script: one server after the other
    night.py       plays one night one way, and measures it
    bound.py       what no way can beat
    figures.py     a night in figures, and many nights in one line

`make bench` runs them; docs/benchmark.md says what is simulated.
"""

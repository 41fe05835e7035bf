"""Seeded random nights: the real handlers and definition against a hostile simulated Hetzner.

    loop.py        virtual time: tasks that take turns, one at a time
    machine.py     walks the definition as Step Functions would
    cloud.py       Lambda, Step Functions' API and SSM, with what goes wrong there
    process.py     the process the functions run in, with that cloud around it
    wire.py        the simulator behind the SDK's session, without sockets
    stage.py       the two together, in one virtual time
    night.py       draws a night from a seed and plays it
    troubles.py    the list of what can go wrong, each a function of the night:
    bad_answers.py, bad_luck.py (what happens at Hetzner meanwhile), bad_aws.py
    truth.py       what really happened: every create, every delete, every state
    invariants.py  what must hold afterwards
    verdicts.py    that what was said is true
    check.py       plays a night, looks at it, finds the least of one that fails

`python -m tests.chaos --help` runs them; `python -m tests.mutants` shows that they bite.
"""

"""Documents of this version and of earlier ones, and what today's functions make of them.

    stories.py   short nights in which every status of every document comes about
    tape.py      records a night, and plays it again up to a deploy in its middle
    flat.py      the functions of cf22853, from a worktree
    stored/      what `python -m tests.upgrades` has recorded

`tests/test_upgrades.py` plays them.
"""

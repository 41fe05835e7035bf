"""Seeded random nights and days: the real functions and definitions against a hostile Hetzner.

They are played in local/virtual, an AWS in one process and virtual time.

    night.py       draws a night from a seed and plays it
    troubles.py    the list of what can go wrong, each a function of the night:
    bad_answers.py, bad_luck.py (what happens at Hetzner meanwhile), bad_worlds.py (what it says,
    leaves out, locks), bad_beliefs.py (what is not on record), bad_aws.py, bad_tokens.py,
    bad_children.py, bad_runs.py
    watched.py     nights in which WatchServers looks each hour; bad_watch.py is its own trouble,
    sights.py what was truly there while it looked
    invariants.py  what must hold afterwards
    pace.py        when, and how often
    verdicts.py    that what was said is true
    emptied.py     that a disk which was emptied is told, and leaves a snapshot from before
    rhythms.py     that the servers which are due are taken, and no others
    counts.py      that what was counted is, in results, line, metrics and messages
    watching.py    that the watch tells who has to be told, nobody else, once
    whole_projects.py  that projects are called gone or another one when they are
    day.py         draws a day with drills; bad_copies.py (what happens to copies) and bad_days.py
    copies.py      the copies as they truly were, and what people did to them
    restored.py    what must hold after a day
    told_restores.py, told_copies.py  that what was said of restores, copies and proofs is true
    check.py       plays a night or a day, looks at it, finds the least of one that fails

`python -m tests.chaos --help` runs them; `python -m tests.mutants` shows that they find mistakes.
"""

"""The function Tell: what the topic says, sent to Slack, Discord, Telegram, ntfy and others.

Its package is apart from that of the nights (see tell/Makefile): no fault of the library Apprise
can stop a night. `make tell` uses these modules, too.
"""

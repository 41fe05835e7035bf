"""What can happen to the copies of a day's drills, and to what they are made of and with."""

import random

from handler.decisions.isolating import firewall_name
from handler.documents.labels import LABEL_THROW_AWAY
from local.simulator import Project, Server
from local.virtual.truth import OWNER
from tests.chaos.copies import Day, Person
from tests.chaos.troubles import Troubles

TROUBLES = Troubles()
STOCK = [(name, place) for name in ("cx23", "cx33", "cx43", "cx53", "cpx22", "ccx13")
         for place in ("fsn1", "nbg1", "hel1", "ash")]  # fmt: skip


@TROUBLES.frequent
def a_person(day: Day, rng: random.Random) -> str:
    """Who takes a copy, or does something to it."""
    kind, wait = rng.choice(Person.ACTS), rng.choice([0.0, 20.0, 60.0, 200.0])
    day.when_there(wait, lambda project, copy: day.person.act(kind, project, copy))
    return f"a person: {kind}, {wait:.0f} s after a copy is there"


@TROUBLES.one
def an_attachment(day: Day, rng: random.Random) -> str:
    """Something attaches itself to what is new."""
    kind = rng.choice(["network", "volume", "load balancer", "firewall"])
    wait = rng.choice([0.0, 20.0, 60.0, 90.0, 300.0])

    def attach(project: Project, copy: Server) -> None:
        day.person.meddled.append(day.loop.now)
        if kind == "network":
            copy.networks.append(77)
        else:
            copy.volumes.append(77)

    def select(project: Project, _: Server | None = None) -> None:
        day.person.meddled.append(day.loop.now)
        if kind == "load balancer":
            project.load_balancers.add(7, selector=LABEL_THROW_AWAY)
            return
        rules = [{"direction": "in", "protocol": "tcp", "port": "80", "source_ips": ["0.0.0.0/0"]}]
        project._firewalls.add("web", rules).selectors.append(LABEL_THROW_AWAY)
        project._firewalls.follow_labels()

    if rng.random() < 0.3 and kind in ("load balancer", "firewall"):
        day.later(wait, lambda: select(day.project))
    else:
        day.when_there(wait, attach if kind in ("network", "volume") else select)
    return f"a {kind} attaches itself, {wait:.0f} s"


@TROUBLES.one
def the_firewall(day: Day, rng: random.Random) -> str:
    """Somebody changes our firewall by hand."""
    kind = rng.choice(["opened", "relabelled", "slow", "after boot"])
    at = rng.choice([5.0, 40.0, 120.0])

    def happen() -> None:
        day.person.meddled.append(day.loop.now)
        for firewall in day.project._firewalls.values():
            if firewall.name != firewall_name(OWNER):
                continue
            if kind == "opened":
                day.project._firewalls.set_rules(firewall, [])
            else:
                firewall.labels.clear()

    if kind == "slow":
        day.project.firewall_seconds = rng.choice([60.0, 5000.0])
    elif kind == "after boot":
        day.world.firewall_applied_after_boot = True
        day.world.starts_after_each_create = rng.random() < 0.3
    else:
        day.world.firewall_stays_applied = rng.random() < 0.5
        day.later(at, happen)
    return f"our firewall {kind} at {at:.0f} s"


@TROUBLES.one
def the_market(day: Day, rng: random.Random) -> str:
    kind = rng.choice(["no stock", "no placement", "limit", "addresses", "slow", "address kept"])
    for project in day.projects:
        if kind == "limit":
            project.server_limit = len(project.servers) + rng.choice([0, 1])
        elif kind == "addresses":
            project.primary_ip_limit = len(project.servers)
        elif kind == "slow":
            for image in project.images:
                project.server_seconds[image] = rng.choice([600.0, 3500.0, 9000.0])
    if kind == "address kept":
        day.world.address_kept_after_delete = True
    elif kind.startswith("no "):
        gone = set(rng.choice([STOCK, STOCK[:2], STOCK[:1]]))
        setattr(day.world, kind.replace(" ", "_"), gone)
    return f"the market: {kind}"


@TROUBLES.one
def snapshots_deleted(day: Day, rng: random.Random) -> str:
    at = rng.choice([1.0, 5.0, 20.0, 60.0, 200.0])
    day.world.image_deleted_in_create = rng.choice(
        ["create_goes_on", "create_fails", "delete_refused"]
    )

    def vanish() -> None:
        for image in list(day.project._images):
            if day.project._images[image].status == "available":
                day.vanish(image)

    day.later(at, vanish)
    return f"all snapshots deleted at {at:.0f} s: {day.world.image_deleted_in_create}"


@TROUBLES.one
def labels_written_meanwhile(day: Day, rng: random.Random) -> str:
    """Somebody labels the snapshots while a drill may do so."""
    at = sorted(rng.choice([30.0, 60.0, 90.0, 120.0]) * rng.random() for _ in range(20))

    def write(number: int) -> None:
        for image in day.before.images.values():
            for project in day.projects:
                if image.id in project._images:
                    project._images[image.id].labels[f"n{number}"] = "x"
                    image.labels[f"n{number}"] = "x"

    for number, seconds in enumerate(at):
        day.later(seconds, lambda number=number: write(number))  # type: ignore[misc]
    return f"labels are written on all snapshots from {at[0]:.0f} to {at[-1]:.0f} s"


@TROUBLES.one
def a_hold_that_ends(day: Day, rng: random.Random) -> str:
    """The copy is held by something, or protected by somebody."""
    what, seconds = rng.choice(["lock", "protection"]), rng.choice([60.0, 600.0, 2000.0, 9000.0])

    def hold(project: Project, copy: Server) -> None:
        if what == "lock":
            project.lock(copy, seconds=seconds)
        else:
            copy.protected = True
            day.loop.sleep(seconds)
            copy.protected = False

    day.when_there(rng.choice([30.0, 100.0]), hold)
    return f"the copy's {what} for {seconds:.0f} s"


@TROUBLES.one
def a_sweep_meanwhile(day: Day, rng: random.Random) -> str:
    wait = rng.choice([0.0, 3.0, 30.0, 60.0])
    day.when_there(wait, lambda *_: [day.ask(0, {"sweep": True}, rng)])
    return f"a sweep {wait:.0f} s after a copy is there"

"""A stateful stand-in for the Hetzner Cloud API on loopback, for tests and the local cloud.

    world = World(Clock(start=datetime(2026, 11, 21, 2, 0, tzinfo=UTC)))
    project = world.project("default")
    project.add_token("token")
    server = project.add_server("sg5")
    with Simulator(world) as simulator:
        ...  # A client of simulator.url; world.clock.advance(60); project.images

Servers made through the API have addresses in 127/8. When such a server is on and has booted
(`project.boots`), it greets: `world.greeting(address, port)` says what a connection comes to at the
simulated time, and in a `Simulator` it listens on a real socket there. `world.deeds` has what was
done to servers, and what they could reach when they ran.

The world may be read and changed while the simulator runs. A step that must not be seen half
done belongs under `world.lock`.
"""

from local.simulator.boot import Boot, Greeting
from local.simulator.clock import Clock
from local.simulator.deeds import Deed
from local.simulator.faults import Fault
from local.simulator.model import Action, Image, Server
from local.simulator.project import Project
from local.simulator.server import Simulator
from local.simulator.world import World

__all__ = [
    "Action",
    "Boot",
    "Clock",
    "Deed",
    "Fault",
    "Greeting",
    "Image",
    "Project",
    "Server",
    "Simulator",
    "World",
]

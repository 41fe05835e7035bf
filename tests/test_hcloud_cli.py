"""Hetzner's own command gets through against the simulator, and so does what the pages show of it.

It is Debian's `hcloud`, which checks/hcloud.sh fetches, or the one on the PATH; where neither is,
these tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.simulator import Clock, Project, Simulator, World
from local.virtual.template import ROOT
from tests.simulated import START, TOKEN

PATH = f"{ROOT / 'build' / 'hcloud' / 'usr' / 'bin'}:{os.environ['PATH']}"

pytestmark = pytest.mark.skipif(
    shutil.which("hcloud", path=PATH) is None, reason="no hcloud (sh checks/hcloud.sh fetches it)"
)

PAGES = ("README.md", "docs/operating.md", "docs/first-deploy.md")
LABEL = "hetzner-snapshots"
# Commands between those of hcloud that are not run here, with their further lines.
OTHER = r"^(?:make|aws|git) (?:.*\\\n)*.*\n"
# Old versions delete one image at a time; the page says so, and what to do about it.
PRELUDE = """
set -euo pipefail
hcloud() {
  if [ "$1 $2" != "image delete" ]; then command hcloud "$@"; return; fi
  for id in "${@:3}"; do command hcloud image delete "$id"; done
}
"""


def page_scripts() -> Iterator[Any]:
    """What the pages show, in order: each block of a shell, and each command within a text."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        shown = re.findall(r"`(hcloud [^`…]+)`", prose)
        for number, script in enumerate(dict.fromkeys([*blocks, *shown])):
            script = re.sub(OTHER, "", script, flags=re.MULTILINE)
            commands = re.findall(r"\bhcloud ([a-z-]+ [a-z-]+)", script)
            # A context asks for a token, on a terminal.
            if commands and not commands[0].startswith("context "):
                yield pytest.param(script, id=f"{page}-{number}-{commands[0]}")


@pytest.fixture
def world() -> World:
    return World(Clock(START, scale=1000), seed=1)


@pytest.fixture
def project(world: World) -> Project:
    project = world.project("default")
    project.add_token(TOKEN)
    return project


class Shell:
    def __init__(self, simulator: Simulator, home: Path) -> None:
        self.home = home
        self.environment = {
            "PATH": PATH,
            "HOME": str(home),
            "HCLOUD_ENDPOINT": simulator.url,
            "HCLOUD_TOKEN": TOKEN,
        }

    def __call__(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-c", PRELUDE + script],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Iterator[Shell]:
    with Simulator(world) as simulator:
        yield Shell(simulator, tmp_path)


def add_what_is_named(project: Project, script: str) -> None:
    """The servers, images, keys and firewalls that the commands of a page take for given."""
    made = set(re.findall(r"(?:server|firewall) create .*?--name (\S+)", script))
    original = project.add_server("sg5", {f"{LABEL}/enabled": "false"})
    named = set(re.findall(r"--server (\S+)|server power(?:on|off) (\S+)", script))
    for name in {"sg5-restored", *(name for pair in named for name in pair if name)} - made:
        if name != original.name:
            project.add_server(name, {f"{LABEL}/enabled": "false"})
    gone = project.add_server("gone")
    ours = {f"{LABEL}/managed-by": LABEL, f"{LABEL}/server-id": str(gone.id)}
    project.add_snapshot(gone, labels=ours)
    project.delete_server(gone)
    for id_ in sorted({int(number) for number in re.findall(r"\b[89][0-9]{4}\b", script)}):
        image = project.add_snapshot(original, protected="disable-protection" in script)
        del project.images[image.id]
        image.id = id_
        project.images[id_] = image
    project.ssh_keys[3001] = "my-key"
    firewalls = r"--firewall (\S+)|firewall (?:describe|add-rule|apply-to-resource) (\S+)"
    for name in {n for pair in re.findall(firewalls, script) for n in pair if n} - made:
        project.firewalls.add(name)
    for name in re.findall(r"firewall remove-from-resource (?:--\S+ \S+ )*([^-\s]\S*)", script):
        firewall = project.firewalls.add(name)
        for server in project.servers.values():
            project.firewalls.attach(firewall, server)


@pytest.mark.parametrize("script", list(page_scripts()))
def test_what_the_pages_show_gets_through(
    world: World, project: Project, shell: Shell, script: str
) -> None:
    add_what_is_named(project, script)
    shell(script)
    refused = [request for request in world.requests if not 200 <= (request.status or 0) < 300]
    assert refused == []


def test_the_pages_show_commands_to_restore_with() -> None:
    shown = " ".join(str(parameter.id) for parameter in page_scripts())
    for command in ("server create", "server create-image", "image list", "server reset"):
        assert command in shown


def test_a_restore_by_hand_behind_a_firewall(project: Project, shell: Shell) -> None:
    original = project.add_server("sg5")
    image = project.add_snapshot(original, labels={"server": "sg5"})
    project.ssh_keys[3001] = "my-key"
    columns = "-o noheader -o columns=id"
    assert shell(f"hcloud server list {columns}").split() == [str(original.id)]
    found = shell(f"hcloud image list --type snapshot --selector server=sg5 {columns}")
    assert found.split() == [str(image.id)]
    shell(
        """
        hcloud firewall create --name closed --label a=b
        hcloud firewall add-rule closed --direction in --protocol tcp --port 22 \
          --source-ips 0.0.0.0/0
        hcloud firewall add-rule closed --direction out --protocol tcp --port 1 \
          --destination-ips 192.0.2.1/32
        """
    )
    shell(
        f"hcloud server create --image {image.id} --name copy --type cx23 --location nbg1"
        " --firewall closed --ssh-key my-key --start-after-create=false --label a=b"
    )

    made = json.loads(shell("hcloud server describe copy -o json"))
    assert (made["status"], made["labels"]) == ("off", {"a": "b"})
    assert made["image"]["id"] == image.id
    [firewall] = made["public_net"]["firewalls"]
    rules = json.loads(shell("hcloud firewall describe closed -o json"))["rules"]
    assert [rule["direction"] for rule in rules] == ["in", "out"]
    shell("hcloud server poweron copy")
    server = project.servers[made["id"]]
    assert server.status == "running"
    assert [seen.id for seen in project.firewalls.of(server.id)] == [firewall["id"]]
    shell("hcloud firewall remove-from-resource closed --type server --server copy")
    assert project.firewalls.of(server.id) == ()
    shell("hcloud firewall apply-to-resource closed --type server --server copy")
    assert [seen.status for seen in project.firewalls.of(server.id)] == ["applied"]


def test_putting_it_back_and_cleaning_up_by_hand(project: Project, shell: Shell) -> None:
    server = project.add_server("sg5")
    image = project.add_snapshot(server)
    shell(f"hcloud server rebuild --image {image.id} sg5")
    assert (server.status, server.image_id) == ("running", image.id)
    shell(f"hcloud image add-label {image.id} keep=yes")
    assert image.labels == {"keep": "yes"}
    shell(f"hcloud image remove-label {image.id} keep")
    shell("hcloud server enable-protection sg5 delete rebuild")
    with pytest.raises(AssertionError, match="protected"):
        shell("hcloud server delete sg5")
    shell("hcloud server disable-protection sg5 delete rebuild")
    shell(f"hcloud server delete sg5; hcloud image delete {image.id}")
    assert project.images == {}
    shell('until [ -z "$(hcloud server list -o noheader -o columns=id)" ]; do sleep 0.1; done')
    assert project.servers == {}

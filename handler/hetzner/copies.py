"""What a project's API does for copies of servers: it makes, isolates, powers and deletes them.

Like api.py: every method sends each of its requests once, and nothing waits or tries again. The
`root_password` in the answer to a create is dropped in redaction.py, as all answers pass there.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from handler.documents.copies import (
    AddressPrices,
    Copy,
    Firewall,
    Rule,
    ServerType,
    WantedCopy,
)
from handler.documents.errors import IncompleteListing, OutcomeUnknown
from handler.documents.labels import LABEL_MANAGED_BY, LABEL_THROW_AWAY
from handler.documents.resources import Action
from handler.hetzner.answers import action_in, well_formed
from handler.hetzner.api import NEWEST_FIRST, PER_PAGE, Hetzner
from handler.hetzner.copy_answers import (
    address_prices_in,
    copy_in,
    firewall_in,
    rule_for,
    server_type_or_none,
)


class Copies:
    """Copies in the project of `hetzner`, which tells its clock and rate limit as ever."""

    def __init__(self, hetzner: Hetzner) -> None:
        self.hetzner = hetzner

    def copies(self, owner: str) -> list[Copy]:
        """All servers with the owner's label for throw-away copies. Raises IncompleteListing."""
        selector = f"{LABEL_MANAGED_BY}=={owner},{LABEL_THROW_AWAY}==true"
        params = {"label_selector": selector, "sort": NEWEST_FIRST}
        with well_formed():
            found = [copy_in(item) for item in self.hetzner.listed("/servers", "servers", params)]
        # What is deleted is chosen from this list: it must not hold more than was asked for.
        if any(
            copy.labels.get(LABEL_MANAGED_BY) != owner
            or copy.labels.get(LABEL_THROW_AWAY) != "true"
            for copy in found
        ):
            raise IncompleteListing("the listing of servers holds others than those asked for")
        return sorted(found, key=lambda copy: copy.id)

    def copy(self, server_id: int) -> Copy:
        with well_formed():
            return copy_in(self.hetzner.request("GET", f"/servers/{server_id}")["server"])

    def find_copy(self, name: str) -> Copy | None:
        """The server of that name, whoever has made it; names are unique in a project."""
        with well_formed():
            found = [copy_in(item) for item in self._named("/servers", "servers", name)]
        return found[0] if found else None

    def create_copy(self, wanted: WantedCopy) -> tuple[Copy, int | None]:
        """Makes a server that is off, and gives it with the create's action, if that is told.

        After OutcomeUnknown it may have been made: look for its name before the next try. Raises
        NoStock, NameTaken, QuotaReached.
        """
        body = {
            "name": wanted.name,
            "server_type": wanted.server_type,
            "location": wanted.location,
            "image": wanted.image_id,
            "start_after_create": False,
            "labels": dict(wanted.labels),
            "ssh_keys": list(wanted.ssh_keys),
            "firewalls": [{"firewall": wanted.firewall_id}],
            "public_net": {"enable_ipv4": True, "enable_ipv6": False},
        }
        with well_formed():
            answer = self.hetzner.request("POST", "/servers", json=body)
            action = answer.get("action")
            return copy_in(answer["server"]), action_in(action).id if action else None

    def delete_copy(self, server_id: int) -> int | None:
        """Deletes the server; the action, if it is told. After OutcomeUnknown it may be gone."""
        with well_formed():
            action = self.hetzner.request("DELETE", f"/servers/{server_id}").get("action")
            return action_in(action).id if action else None

    def power_on(self, server_id: int) -> Action:
        return self._act(f"/servers/{server_id}/actions/poweron")

    def power_off(self, server_id: int) -> Action:
        """Switches it off at once: only for a server that we have made."""
        return self._act(f"/servers/{server_id}/actions/poweroff")

    def change_labels(
        self, image_id: int, change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> None:
        """Read, changed, written, read back: no label is lost.

        Raises OutcomeUnknown if somebody else has written them at the same time.
        """
        wanted = change(self.hetzner.snapshot(image_id).labels)
        self.update_labels(image_id, wanted)
        if not wanted.items() <= self.hetzner.snapshot(image_id).labels.items():
            raise OutcomeUnknown("somebody else has written its labels at the same time")

    def update_labels(self, image_id: int, labels: Mapping[str, str]) -> None:
        """Replaces all labels of the image."""
        self.hetzner.request("PUT", f"/images/{image_id}", json={"labels": dict(labels)})

    def find_firewall(self, name: str) -> Firewall | None:
        """The firewall of that name, whoever has made it."""
        with well_formed():
            found = [firewall_in(item) for item in self._named("/firewalls", "firewalls", name)]
        return found[0] if found else None

    def firewall(self, firewall_id: int) -> Firewall:
        with well_formed():
            answer = self.hetzner.request("GET", f"/firewalls/{firewall_id}")
            return firewall_in(answer["firewall"])

    def applying(self, firewall_id: int) -> tuple[Action, ...]:
        """What is being done to the firewall: its rules are set, or applied to servers."""
        params = {"status": "running", "per_page": PER_PAGE}
        with well_formed():
            answer = self.hetzner.request("GET", f"/firewalls/{firewall_id}/actions", params=params)
            return tuple(action_in(item) for item in answer["actions"])

    def create_firewall(self, name: str, owner: str, rules: Iterable[Rule]) -> Firewall:
        """Makes a firewall that is bound to nothing. Raises NameTaken."""
        body = {
            "name": name,
            "labels": {LABEL_MANAGED_BY: owner},
            "rules": [rule_for(rule) for rule in rules],
        }
        with well_formed():
            return firewall_in(self.hetzner.request("POST", "/firewalls", json=body)["firewall"])

    def set_rules(self, firewall_id: int, rules: Iterable[Rule]) -> None:
        """Replaces all rules of the firewall."""
        body = {"rules": [rule_for(rule) for rule in rules]}
        self.hetzner.request("POST", f"/firewalls/{firewall_id}/actions/set_rules", json=body)

    def ssh_keys(self) -> tuple[int, ...]:
        """The ids of all the project's SSH keys. Raises IncompleteListing."""
        with well_formed():
            keys = self.hetzner.listed("/ssh_keys", "ssh_keys", {})
            return tuple(sorted(int(key["id"]) for key in keys))

    def server_types(self) -> list[ServerType]:
        """All types with what they cost where and whether there are some. Raises
        IncompleteListing.

        One that cannot be read is left out: a new kind must not keep all others from being used.
        """
        with well_formed():
            types = [
                server_type_or_none(item)
                for item in self.hetzner.listed("/server_types", "server_types", {})
            ]
            return [each for each in types if each]

    def network_zones(self) -> dict[str, str]:
        """Each location's network zone. Raises IncompleteListing."""
        with well_formed():
            places = self.hetzner.listed("/locations", "locations", {})
            return {str(place["name"]): str(place["network_zone"]) for place in places}

    def address_prices(self) -> AddressPrices:
        with well_formed():
            return address_prices_in(self.hetzner.request("GET", "/pricing")["pricing"])

    def _named(self, path: str, key: str, name: str) -> list[dict[str, Any]]:
        """The entries of exactly that name; Hetzner has one at most."""
        found = self.hetzner.listed(path, key, {"name": name})
        return [item for item in found if item.get("name") == name]

    def _act(self, path: str) -> Action:
        with well_formed():
            return action_in(self.hetzner.request("POST", path, json={})["action"])

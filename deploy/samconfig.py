"""What an earlier `make deploy` has kept: SAM's parameters, and the account they are for."""

import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.common.variables import Unusable


@dataclass(frozen=True, slots=True)
class LastDeploy:
    region: str | None
    account: str | None  # None: kept by an earlier version
    parameters: Mapping[str, str]


def read_samconfig(path: Path, environment: str) -> LastDeploy | None:
    """None if this stack was not deployed from here. Raises Unusable if it cannot be read."""
    part = _part(path, environment)
    asked = part.get("deploy", {}).get("parameters", {})
    if not asked:
        return None
    overrides = asked.get("parameter_overrides", {})
    if not isinstance(overrides, dict):
        raise Unusable(
            f"In {path}, parameter_overrides of {environment} is no table. Write them as lines "
            f'below [{environment}.deploy.parameters.parameter_overrides], as in Notify = "always".'
        )
    region = asked.get("region") or part.get("global", {}).get("parameters", {}).get("region")
    account = part.get("account", {}).get("id")
    return LastDeploy(region, account, {name: str(value) for name, value in overrides.items()})


def read_profile(path: Path, environment: str) -> str | None:
    """The AWS profile that SAM takes from the file, whatever the shell's credentials are."""
    part = _part(path, environment)
    for command in ("deploy", "global"):
        if profile := part.get(command, {}).get("parameters", {}).get("profile"):
            return str(profile)
    return None


def _part(path: Path, environment: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unusable(
            f"{path} cannot be read: {error}. Repair it, or remove it to be asked again."
        ) from None
    part: dict[str, Any] = document.get(environment, {})
    return part


@contextmanager
def kept_if_it_works(path: Path, environment: str, account: str) -> Iterator[Path]:
    """A copy for SAM, which saves before it deploys; kept only if the deployment goes well."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        # SAM needs the file to exist before it saves to it.
        copy.write_text(path.read_text() if path.exists() else "version = 0.1\n")
        yield copy
        path.write_text(_with_account(copy.read_text(), environment, account))


def _with_account(text: str, environment: str, account: str) -> str:
    """SAM passes over a table that none of its commands has the name of."""
    header = f"[{environment}.account]"
    others = re.sub(rf"^{re.escape(header)}\n([^\[\n].*\n?|\n)*", "", text, flags=re.MULTILINE)
    return f'{others.rstrip()}\n\n{header}\nid = "{account}"\n'

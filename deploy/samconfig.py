"""The parameters that `sam deploy --save-params` has saved in an earlier `make deploy`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.common.variables import Unusable


@dataclass(frozen=True, slots=True)
class LastDeploy:
    region: str | None
    parameters: Mapping[str, str]


def read_samconfig(path: Path, environment: str) -> LastDeploy | None:
    """None if this stack was not deployed from here. Raises Unusable if it cannot be read."""
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unusable(
            f"{path} cannot be read: {error}. Repair it, or remove it to be asked again."
        ) from None
    part = document.get(environment, {})
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
    return LastDeploy(region, {name: str(value) for name, value in overrides.items()})

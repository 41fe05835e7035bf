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
    asked = _table(path, environment, "deploy", "parameters")
    if not asked:
        return None
    everywhere = _table(path, environment, "global", "parameters")
    overrides = _table(path, environment, "deploy", "parameters", "parameter_overrides")
    return LastDeploy(
        region=_text(path, "region", asked.get("region", everywhere.get("region"))),
        account=_text(path, "id", _table(path, environment, "account").get("id")),
        parameters={name: _text(path, name, value) or "" for name, value in overrides.items()},
    )


def read_profile(path: Path, environment: str) -> str | None:
    """The AWS profile that SAM takes from the file, whatever the shell's credentials are."""
    for command in ("deploy", "global"):
        profile = _table(path, environment, command, "parameters").get("profile")
        if profile is not None:
            return _text(path, "profile", profile)
    return None


def _table(path: Path, *names: str) -> dict[str, Any]:
    """This part of the file; empty if there is none."""
    try:
        part: dict[str, Any] = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unusable(
            f"{path} cannot be read: {error}. Repair it, or remove it to be asked again."
        ) from None
    for depth, name in enumerate(names, 1):
        inner: Any = part.get(name, {})
        if not isinstance(inner, dict):
            where = ".".join(names[:depth])
            raise Unusable(
                f"In {path}, {where} is no table. Write it as lines below [{where}], as in "
                'Notify = "always", or remove the file to be asked again.'
            )
        part = inner
    return part


def _text(path: Path, name: str, value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
    raise Unusable(f'In {path}, {name} is no text. Write it as in {name} = "…".')


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

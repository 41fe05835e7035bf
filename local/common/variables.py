"""Variables given on make's command line, as in `make deploy YES=1`."""

from collections.abc import Mapping


class Unusable(Exception):
    """The command cannot be carried out as asked; the text is for people."""


def flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value in ("", "0", "no", "false"):
        return False
    if value in ("1", "yes", "true"):
        return True
    raise Unusable(f"{name}={environ[name]} is neither 1 nor 0.")

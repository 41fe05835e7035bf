"""The command's settings, read from the environment that make passes on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.samconfig import LastDeploy, read_profile, read_samconfig
from local.common.parameters import parse_parameters
from local.common.variables import Unusable, flag

ROOT = Path(__file__).resolve().parent.parent
STACK = "hetzner-snapshots"
SAMCONFIG = "samconfig.toml"
STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}", re.ASCII)
# Of samconfig.toml: the stack of no name's section, and the file's version.
NO_SECTIONS = ("default", "version")
# As in StartRun: parameters below the token path with other names are no projects.
PROJECT = re.compile(r"[A-Za-z0-9-]{1,29}", re.ASCII)
# A run's id, or the name of one of its executions, which begins with it.
RUN = re.compile(r"([A-Za-z0-9-]{1,32})(_[A-Za-z0-9_-]*)?", re.ASCII)

# Of `make restore`; looked at by it alone, because a shell may have a NAME.
OF_RESTORE = ("SERVER", "SNAPSHOT", "NAME", "TYPE", "LOCATION")


@dataclass(frozen=True, slots=True)
class Settings:
    stack: str
    region: str | None  # None: the profile's
    profile: str | None  # of samconfig.toml; None: the shell's credentials
    project: str
    parameters: Mapping[str, str]
    samconfig: Path
    last_deploy: LastDeploy | None  # from an earlier `make deploy`
    yes: bool
    stop: bool  # runs that are going on, before a removal
    remove: bool  # the addresses that are stored
    run_id: str = ""  # of `make report`; empty: the last one
    json: bool = False  # for programs
    names_project: bool = False  # whether PROJECT is given
    keep_token: bool = False
    restore: Mapping[str, str] = field(default_factory=dict)  # what is said of it, as written

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises Unusable."""
        stack = environ.get("STACK", "").strip() or STACK
        if not STACK_NAME.fullmatch(stack):
            raise Unusable(
                f"STACK={stack} is no name for a stack: letters, digits and dashes, a letter first."
            )
        if stack in NO_SECTIONS:
            raise Unusable(
                f"STACK={stack} cannot be used: samconfig.toml has something else by this name. "
                "Choose another name for the stack."
            )
        project = environ.get("PROJECT", "").strip() or "default"
        if not PROJECT.fullmatch(project):
            raise Unusable(
                f"PROJECT={project} is no name for a project: 1 to 29 letters, digits and dashes. "
                "The name is yours to choose, Hetzner does not see it."
            )
        samconfig = ROOT / (environ.get("SAMCONFIG", "").strip() or SAMCONFIG)
        last_deploy = read_samconfig(samconfig, environment_of(stack))
        return cls(
            stack=stack,
            region=_region(environ, last_deploy, stack),
            profile=_profile(environ, samconfig, stack),
            project=project,
            parameters=parse_parameters(environ.get("PARAMETERS", "")),
            samconfig=samconfig,
            last_deploy=last_deploy,
            yes=flag(environ, "YES"),
            stop=flag(environ, "STOP"),
            remove=flag(environ, "REMOVE"),
            run_id=_run_id(environ),
            json=flag(environ, "JSON"),
            names_project=bool(environ.get("PROJECT", "").strip()),
            keep_token=flag(environ, "KEEP_TOKEN"),
            restore={name: environ.get(name, "").strip() for name in OF_RESTORE},
        )

    @property
    def environment(self) -> str:
        return environment_of(self.stack)

    @property
    def other_samconfig(self) -> str:
        """As SAMCONFIG= says it; empty if it is the usual file."""
        if self.samconfig == ROOT / SAMCONFIG:
            return ""
        inside = self.samconfig.is_relative_to(ROOT)
        return str(self.samconfig.relative_to(ROOT) if inside else self.samconfig)


def environment_of(stack: str) -> str:
    """This stack's section of samconfig.toml; `sam` by itself uses the one called default."""
    return "default" if stack == STACK else stack


def _region(environ: Mapping[str, str], last_deploy: LastDeploy | None, stack: str) -> str | None:
    if asked := environ.get("REGION", "").strip():
        return asked
    around = next(
        (value for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if (value := environ.get(name))),
        None,
    )
    known = last_deploy.region if last_deploy else None
    # A second stack in another region would snapshot the same servers, every night.
    if around and known and around != known:
        raise Unusable(
            f"The stack {stack} was deployed to {known}, says samconfig.toml, but AWS_REGION is "
            f"{around}. Say which one you mean: REGION={known} or REGION={around}."
        )
    return around or known


def _run_id(environ: Mapping[str, str]) -> str:
    given = environ.get("RUN", "").strip()
    if given and not (found := RUN.fullmatch(given)):
        raise Unusable(
            f"RUN={given} is no run's id: those are as 20261121T020000Z. `make report` without "
            "RUN= is about the last run, and names those before it."
        )
    return found[1] if given and found else ""


def _profile(environ: Mapping[str, str], samconfig: Path, stack: str) -> str | None:
    profile = read_profile(samconfig, environment_of(stack))
    around = environ.get("AWS_PROFILE")
    # SAM would deploy with the file's, and everything else would be done with the shell's.
    if profile and around and around != profile:
        raise Unusable(
            f"{samconfig.name} says profile = {profile}, but AWS_PROFILE is {around}. Take one of "
            "them away."
        )
    return profile

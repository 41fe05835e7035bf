"""Settings from the environment: frozen, checked when first read; errors name the variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

from handler.documents.document import OnLocked, WithBackups
from handler.documents.labels import label_value
from handler.documents.policy import parse_policy
from handler.documents.restore_run import MOST_RESTORES

# A copy may take as long to go, its restore waits for others of its execution, and a reserve.
REMOVAL_MINUTES = 180
MOST_FRESHNESS_HOURS = 8784  # a leap year


class BadSetting(ValueError):
    """A deployed setting that cannot be used; the message names variable, value and remedy."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the tokens and the API are: for every function that talks to Hetzner."""

    token_path: str
    hetzner_endpoint: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        return cls(_text(environ, "TOKEN_PATH"), _text(environ, "HETZNER_ENDPOINT"))


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The template's parameters, as StartRun writes them into a run unless the event differs."""

    token_path: str
    state_machine_arn: str
    log_group: str
    owner: str
    label_selector: str
    retention: str
    on_locked: OnLocked
    lock_wait_minutes: int
    snapshot_minutes: int
    max_deletions: int
    servers_at_a_time: int
    rate_limit_floor: int
    orphan_days: int
    with_backups: WithBackups
    watch_memory: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises BadSetting if a deployed value is wrong; nothing has happened yet."""
        on_locked = _text(environ, "ON_LOCKED")
        if on_locked not in ("wait", "skip"):
            raise BadSetting(f"ON_LOCKED is {on_locked!r}; it must be wait or skip")
        try:
            retention = str(parse_policy(_text(environ, "RETENTION")))
        except ValueError as error:
            raise BadSetting(f"RETENTION: {error}") from None
        return cls(
            token_path=_text(environ, "TOKEN_PATH"),
            state_machine_arn=_text(environ, "STATE_MACHINE_ARN"),
            log_group=_text(environ, "LOG_GROUP"),
            owner=_owner(environ),
            label_selector=environ.get("LABEL_SELECTOR", ""),
            retention=retention,
            on_locked=cast(OnLocked, on_locked),
            lock_wait_minutes=_number(environ, "LOCK_WAIT_MINUTES", 1440),
            snapshot_minutes=_number(environ, "SNAPSHOT_MINUTES", 1440),
            max_deletions=_number(environ, "MAX_DELETIONS", 1000),
            servers_at_a_time=_number(environ, "SERVERS_AT_A_TIME", 1000),
            rate_limit_floor=_number(environ, "RATE_LIMIT_FLOOR_PERCENT", 90, least=0),
            orphan_days=_number(environ, "ORPHAN_DAYS", 3650, least=0),
            with_backups=_with_backups(environ),
            watch_memory=_text(environ, "WATCH_MEMORY"),
        )


@dataclass(frozen=True, slots=True)
class SummarySettings:
    """Whom SummariseRun notifies of what, and how old the newest snapshots may be."""

    stack: str
    log_group: str
    topic_arn: str
    notify_always: bool
    label_selector: str
    freshness_hours: int  # 0: no limit
    orphan_days: int  # 0: never
    tell_parameter: str  # of Tell's addresses, which it cannot read
    has_restores: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises BadSetting."""
        return cls(
            stack=_text(environ, "POWERTOOLS_SERVICE_NAME"),
            log_group=_text(environ, "LOG_GROUP"),
            topic_arn=_text(environ, "TOPIC_ARN"),
            notify_always=_text(environ, "NOTIFY") == "always",
            label_selector=environ.get("LABEL_SELECTOR", ""),
            freshness_hours=_number(environ, "FRESHNESS_HOURS", MOST_FRESHNESS_HOURS, least=0),
            orphan_days=_number(environ, "ORPHAN_DAYS", 3650, least=0),
            tell_parameter=_text(environ, "TELL_PARAMETER"),
            has_restores=environ.get("RESTORES") == "true",
        )


@dataclass(frozen=True, slots=True)
class TellSettings:
    """Whom SummariseRestore notifies of what."""

    stack: str
    log_group: str
    topic_arn: str
    notify_always: bool
    tell_parameter: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises BadSetting."""
        return cls(
            stack=_text(environ, "POWERTOOLS_SERVICE_NAME"),
            log_group=_text(environ, "LOG_GROUP"),
            topic_arn=_text(environ, "TOPIC_ARN"),
            notify_always=_text(environ, "NOTIFY") == "always",
            tell_parameter=_text(environ, "TELL_PARAMETER"),
        )


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What WatchServers looks at, how old snapshots may be, whom it tells."""

    stack: str
    token_path: str
    owner: str
    label_selector: str
    freshness_hours: int  # 0: no limit
    run_minutes: int  # the longest wait for one server in a run
    rate_limit_floor: int
    with_backups: WithBackups
    memory: str  # the name of the SSM parameter
    state_machine_arn: str
    topic_arn: str
    tell_parameter: str
    copy_minutes: int  # the longest that a restore needs the copy that it throws away
    restore_function: str = ""  # StartRestore; empty: restores are not deployed

    @property
    def has_restores(self) -> bool:
        return bool(self.restore_function)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises BadSetting."""
        return cls(
            stack=_text(environ, "POWERTOOLS_SERVICE_NAME"),
            token_path=_text(environ, "TOKEN_PATH"),
            owner=_owner(environ),
            label_selector=environ.get("LABEL_SELECTOR", ""),
            freshness_hours=_number(environ, "FRESHNESS_HOURS", MOST_FRESHNESS_HOURS, least=0),
            run_minutes=_number(environ, "LOCK_WAIT_MINUTES", 1440)
            + _number(environ, "SNAPSHOT_MINUTES", 1440),
            rate_limit_floor=_number(environ, "RATE_LIMIT_FLOOR_PERCENT", 90, least=0),
            with_backups=_with_backups(environ),
            memory=_text(environ, "WATCH_MEMORY"),
            state_machine_arn=_text(environ, "STATE_MACHINE_ARN"),
            topic_arn=_text(environ, "TOPIC_ARN"),
            tell_parameter=_text(environ, "TELL_PARAMETER"),
            copy_minutes=_number(environ, "RESTORE_MINUTES", 1440)
            + _number(environ, "BOOT_MINUTES", 1440)
            + REMOVAL_MINUTES,
            restore_function=environ.get("RESTORE_FUNCTION", ""),
        )


@dataclass(frozen=True, slots=True)
class RestoreSettings:
    """The template's parameters, as StartRestore writes them into an execution."""

    token_path: str
    state_machine_arn: str
    log_group: str
    owner: str
    drill_servers: int
    restore_minutes: int
    boot_minutes: int
    rate_limit_floor: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises BadSetting if a deployed value is wrong; nothing has happened yet."""
        return cls(
            token_path=_text(environ, "TOKEN_PATH"),
            state_machine_arn=_text(environ, "RESTORE_MACHINE_ARN"),
            log_group=_text(environ, "LOG_GROUP"),
            owner=_owner(environ),
            drill_servers=_number(environ, "DRILL_SERVERS", MOST_RESTORES),
            restore_minutes=_number(environ, "RESTORE_MINUTES", 1440),
            boot_minutes=_number(environ, "BOOT_MINUTES", 1440),
            rate_limit_floor=_number(environ, "RATE_LIMIT_FLOOR_PERCENT", 90, least=0),
        )


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise BadSetting(f"the environment variable {name} is missing or empty; deploy again")
    return value


def _with_backups(environ: Mapping[str, str]) -> WithBackups:
    value = _text(environ, "WITH_BACKUPS")
    if value not in ("include", "skip"):
        raise BadSetting(f"WITH_BACKUPS is {value!r}; it must be include or skip")
    return cast(WithBackups, value)


def _owner(environ: Mapping[str, str]) -> str:
    owner = _text(environ, "OWNER")
    if label_value(owner) != owner:
        raise BadSetting(
            f"OWNER (by default the stack's name) is {owner!r}, longer than the 63 characters "
            "of a Hetzner label or not beginning and ending with a letter or digit; deploy with "
            "the parameter Owner"
        )
    return owner


def _number(environ: Mapping[str, str], name: str, most: int, least: int = 1) -> int:
    value = _text(environ, name)
    if not (value.isascii() and value.isdecimal() and least <= int(value) <= most):
        raise BadSetting(f"{name} is {value!r}; it must be a whole number from {least} to {most}")
    return int(value)

"""`make deploy`: creates or updates the stack from what `make build` has built."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace

from deploy.account import (
    Account,
    Failed,
    Stack,
    command,
    connect,
    find_stack,
    refuse_foreign,
    refuse_unready,
)
from deploy.elsewhere import agree_to_place
from deploy.running import runs_going_on, told
from deploy.samconfig import kept_if_it_works, read_samconfig
from deploy.settings import ROOT, Settings
from deploy.terminal import agreed, ask, has_terminal
from handler.documents.labels import label_value
from local.common.parameters import Parameter, check, template_parameters
from local.common.variables import Unusable

SAM = ROOT / ".venv-sam/bin/sam"
TEMPLATE = ".aws-sam/build/template.yaml"
DEPLOY_SECONDS = 3600
MOST_ANSWERS = 5
QUESTIONS = {
    "NotificationEmail": "E-mail address that is told when something is wrong (empty: nobody)",
    "Retention": "Which snapshots to keep (`make plan POLICY=...` shows what a policy keeps)",
    "Schedule": "When to run",
    "ScheduleTimezone": "In which time zone",
}


def bring(settings: Settings) -> int:
    # Before AWS is asked anything: a mistyped parameter needs no account.
    check(settings.parameters)
    account = connect(settings)
    stack = find_stack(account, settings.stack)
    if stack:
        refuse_foreign(account, stack)
        refuse_unready(stack, settings)
    values = {**_values(settings, stack), **settings.parameters}
    check(values)
    owner = _owner(settings, stack, values)
    agree_to_place(settings, account, owner)
    if stack:
        _refuse_to_break_off(account, stack, values)
        for line in _changes(stack, values):
            print(line)
        if not settings.yes and not has_terminal():
            raise Unusable(
                "Nobody is there to be asked, so nothing was changed. If you mean it: "
                f"{command('deploy', settings, 'YES=1')}"
            )
        question = f"Bring the stack {stack.name} to that and to what is in this folder?"
        if not settings.yes and not agreed(question):
            print("Nothing was changed.")
            return 1
        _refuse_to_break_off(account, stack, values)  # one may have begun meanwhile
    _run_sam(settings, account, values)
    deployed = find_stack(account, settings.stack)
    if deployed is None:
        raise Failed(f"The stack {settings.stack} is not there, though SAM reports no error.")
    # The region is now saved in samconfig.toml and need not be given any more.
    last_deploy = read_samconfig(settings.samconfig, settings.environment)
    _say_what_next(replace(settings, last_deploy=last_deploy), stack, deployed)
    return 0


def _values(settings: Settings, stack: Stack | None) -> Mapping[str, str]:
    """The parameters to pass. Others keep their values; in a new stack they have the defaults."""
    if settings.last_deploy:
        print(
            f"With the answers in {settings.samconfig.name}; change them there or by PARAMETERS=."
        )
        return _asked_again(settings.last_deploy.parameters)
    if stack:
        print("This stack was deployed from elsewhere: its parameters stay but for PARAMETERS=.")
        return {}
    if not has_terminal():
        print("Nobody is there to be asked: the defaults but for PARAMETERS=.")
        return {}
    known = template_parameters()
    print("Some questions, this first time only. Enter takes what is in brackets.")
    return {
        name: _answer(question, known[name])
        for name, question in QUESTIONS.items()
        if name not in settings.parameters
    }


def _asked_again(kept: Mapping[str, str]) -> Mapping[str, str]:
    """Kept answers; at a terminal those that will not do are asked for anew."""
    known = template_parameters()
    wrong = {
        name: problem
        for name in QUESTIONS
        if name in kept and (problem := known[name].problem(kept[name]))
    }
    if not wrong or not has_terminal():
        return kept
    for problem in wrong.values():
        print(f"  {problem}")
    return {**kept, **{name: _answer(QUESTIONS[name], known[name]) for name in wrong}}


def _owner(settings: Settings, stack: Stack | None, values: Mapping[str, str]) -> str:
    """Whose label the snapshots will have. Raises Unusable if that can be no label."""
    before = stack.parameters.get("Owner", "") if stack else ""
    owner = values.get("Owner", before) or settings.stack
    if label_value(owner) != owner:
        raise Unusable(
            f"STACK={owner} would be the owner in the snapshots' labels, and Hetzner takes at most "
            "63 characters there, of which the last is a letter or digit. Take another name, or "
            "give an owner: PARAMETERS=Owner=name."
        )
    return owner


def _answer(question: str, parameter: Parameter) -> str:
    for _ in range(MOST_ANSWERS):
        value = ask(question, parameter.default)
        if not (problem := parameter.problem(value)):
            return value
        print(f"  {problem}")
    raise Unusable(f"No good answer for {parameter.name}, so nothing was deployed.")


def _refuse_to_break_off(account: Account, stack: Stack, values: Mapping[str, str]) -> None:
    """Without Restores nothing removes a drill's copy any more. Raises Unusable."""
    if stack.parameters.get("Restores") != "true" or values.get("Restores", "true") == "true":
        return
    if restores := [run for run in runs_going_on(account, stack) if run.kind == "restore"]:
        raise Unusable(
            f"{told(restores)} Restores=false would take away what goes on with it and removes its "
            "copy, which costs money, so nothing was changed. Wait until it has ended."
        )


def _changes(stack: Stack, values: Mapping[str, str]) -> list[str]:
    changes = [
        f"  {name}: {was or 'nothing'} becomes {value or 'nothing'}"
        for name, value in values.items()
        if (was := stack.parameters.get(name, "")) != value
    ]
    return changes or ["  No parameter changes."]


def _run_sam(settings: Settings, account: Account, values: Mapping[str, str]) -> None:
    given = [
        *("--stack-name", settings.stack, "--region", account.region),
        *("--template-file", TEMPLATE, "--resolve-s3", "--s3-prefix", settings.stack),
        *("--capabilities", "CAPABILITY_IAM"),
        *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
        *profile_of(settings),
        "--save-params",
    ]
    if values:
        # SAM takes a backslash away only before a quote or a blank.
        overrides = [f'{name}="{_quoted(value)}"' for name, value in values.items()]
        given += ["--parameter-overrides", *overrides]
    with kept_if_it_works(settings.samconfig, settings.environment, account.id) as copy:
        kept_in = ["--config-file", str(copy), "--config-env", settings.environment]
        try:
            sam("deploy", [*kept_in, *given], DEPLOY_SECONDS)
        except Failed as failure:
            raise Failed(f"{failure} The answers were not kept.") from None


def profile_of(settings: Settings) -> list[str]:
    return ["--profile", settings.profile] if settings.profile else []


def _quoted(value: str) -> str:
    if "\\" in value:
        raise Unusable(f"SAM would lose the backslash in {value!r}, so nothing was deployed.")
    return value.replace('"', '\\"')


def sam(verb: str, arguments: list[str], seconds: int) -> None:
    """Runs SAM on this terminal, with this environment. Raises Failed."""
    # SAM must not see make's own variables.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    (ROOT / "build").mkdir(exist_ok=True)
    # SAM leaves what it has uploaded in the temporary folder.
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="sam-") as leftovers:
        environ |= {"SAM_CLI_TELEMETRY": "0", "TMPDIR": leftovers}
        done = _run(verb, arguments, seconds, environ)
    if done.returncode:
        raise Failed(
            f"`sam {verb}` failed; what it says is above. Nothing at Hetzner has been touched."
        )


def _run(
    verb: str, arguments: list[str], seconds: int, environ: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            [str(SAM), verb, *arguments], cwd=ROOT, env=environ, timeout=seconds, check=False
        )
    except KeyboardInterrupt:
        print(
            f"\n`sam {verb}` was left. What CloudFormation has begun goes on at AWS; its console "
            "shows how it ends. Then give the same command again.",
            file=sys.stderr,
        )
        raise
    except subprocess.TimeoutExpired:
        raise Failed(
            f"`sam {verb}` has not ended after {seconds // 60} min and was stopped. What "
            "CloudFormation has begun goes on; its console shows how it ends."
        ) from None


def _say_what_next(settings: Settings, before: Stack | None, stack: Stack) -> None:
    print(f"\nThe stack {stack.name} is deployed. Its dashboard: {stack.outputs['DashboardLink']}")
    email = stack.parameters.get("NotificationEmail")
    if email and (before is None or before.parameters.get("NotificationEmail") != email):
        print(f"AWS writes to {email} once: only after the link in that mail is anything told.")
    if idle := _without_effect(stack.parameters):
        print(
            f"Without effect: {idle}. No drill starts, and no alarm tells that none does, until "
            f"{command('deploy', settings, 'PARAMETERS=Restores=true')}."
        )
    print(f"Next: {command('token', settings, 'PROJECT=default')}, {command('smoke', settings)}.")


def _without_effect(parameters: Mapping[str, str]) -> str:
    """What is switched on of drills in a stack that has none; empty if nothing is."""
    if parameters.get("Restores") == "true":
        return ""
    off = {"DrillScheduleState": "DISABLED", "ProofDays": "0"}
    given = {name: parameters.get(name, usual) for name, usual in off.items()}
    return " ".join(f"{name}={value}" for name, value in given.items() if value != off[name])

"""Whom the stack's messages reach: the topic's subscribers and the addresses of `make tell`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Account, Stack, command
from deploy.settings import Settings
from deploy.trouble import explain

# As in template.yaml, and outside every token path: see the parameter TokenPath there.
TELL_PATH = "/hetzner-snapshots-tell"


@dataclass(frozen=True, slots=True)
class Reach:
    """Who gets the topic's messages. `subscribed` counts by protocol, without Tell."""

    subscribed: Mapping[str, int]
    unconfirmed: int
    addresses: bool  # stored by `make tell`
    tell_subscribed: bool
    mail: str = ""  # NotificationEmail, as it was deployed

    @property
    def nobody(self) -> bool:
        return not self.subscribed and not (self.addresses and self.tell_subscribed)

    def told(self, settings: Settings) -> str:
        """A sentence or more: who is told; what to do if that is nobody."""
        names = [f"{count} by {protocol}" for protocol, count in sorted(self.subscribed.items())]
        if self.addresses and self.tell_subscribed:
            names.append(f"the addresses of {command('tell', settings)}")
        parts = [f"Messages reach {', '.join(names)}." if names else "Messages reach nobody."]
        if self.unconfirmed:
            parts.append(
                f"Unconfirmed: {self.unconfirmed}. The mail that AWS sent has a link to follow; "
                "after three days it counts no more, and nobody is asked again."
            )
        if self.addresses and not self.tell_subscribed:
            parts.append(
                "The addresses of `make tell` get nothing: Tell's subscription to the topic is "
                "gone. In the SNS console subscribe the function Tell to the topic again."
            )
        if self.nobody:
            parts.append(f"Store an address with {command('tell', settings)}, {self._by_mail}.")
        return " ".join(parts)

    @property
    def _by_mail(self) -> str:
        if self.unconfirmed:
            return "or follow that link"
        if not self.mail:
            return (
                "or deploy with PARAMETERS='NotificationEmail=you@example.org' and follow the link "
                "in the mail"
            )
        # CloudFormation makes it once, and does not look whether it is still there.
        return (
            f"or, in the SNS console, create the topic's subscription of {self.mail} again: it was "
            "ended or not confirmed in three days, and a deployment does not bring it back"
        )


def reach_of(account: Account, stack: Stack) -> Reach:
    """Raises botocore's errors."""
    pages = (
        account.client("sns")
        .get_paginator("list_subscriptions_by_topic")
        .paginate(TopicArn=stack.outputs["NotificationsTopicArn"])
    )
    found = [subscription for page in pages for subscription in page["Subscriptions"]]
    # A stack of an older version has no such function.
    tell = f":function:{stack.outputs.get('TellFunction', '')}"
    others = [each for each in found if not each["Endpoint"].endswith(tell)]
    unconfirmed = [each for each in others if not each["SubscriptionArn"].startswith("arn:")]
    return Reach(
        subscribed=Counter(each["Protocol"] for each in others if each not in unconfirmed),
        unconfirmed=len(unconfirmed),
        addresses=addresses_stored(account, stack),
        tell_subscribed=len(others) < len(found),
        mail=stack.parameters.get("NotificationEmail", ""),
    )


def told_by(settings: Settings, account: Account, stack: Stack) -> str:
    """What `Reach.told` says; if that cannot be learned, why. Never raises botocore's errors."""
    try:
        return reach_of(account, stack).told(settings)
    except (BotoCoreError, ClientError) as error:
        return f"Whether messages reach anybody is not known: {explain(error)}"


def parameter_of(stack: Stack) -> str:
    return f"{TELL_PATH}/{stack.name}"


def addresses_stored(account: Account, stack: Stack) -> bool:
    """Reads no address."""
    answer = account.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [parameter_of(stack)]}]
    )
    return bool(answer["Parameters"])

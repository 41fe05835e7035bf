"""Whether the stack's messages reach anybody, learned without reading an address."""

from botocore.exceptions import ClientError

from handler.aws.clients import sns, ssm

# Of a parameter that does not exist. AWS documents the first.
MISSING = ("InvalidResourceId", "ParameterNotFound")


def why_unreached(topic_arn: str, tell_parameter: str) -> str:
    """Why messages reach nobody; empty if somebody gets them. Raises botocore's errors."""
    answer = sns().get_topic_attributes(TopicArn=topic_arn)["Attributes"]
    confirmed, pending = (
        int(answer[f"Subscriptions{state}"]) for state in ("Confirmed", "Pending")
    )
    # One is Tell's, as it was deployed.
    if confirmed > 1 or (confirmed and _exists(tell_parameter)):
        return ""
    unconfirmed = f" {pending} that nobody has confirmed and" if pending else ""
    return (
        "Messages reach nobody: the topic has no other subscription than"
        f"{unconfirmed} that of Tell, and `make tell` has stored no address for it."
        if confirmed
        else f"Messages reach nobody: no subscription to the topic is confirmed ({pending} wait)."
    )


def _exists(parameter: str) -> bool:
    try:
        ssm().list_tags_for_resource(ResourceType="Parameter", ResourceId=parameter)
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING:
            return False
        raise
    return True

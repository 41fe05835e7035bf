"""Where a person looks next, in the AWS console of the run's region and partition: pure."""

from datetime import datetime, timedelta

from handler.documents.document import format_time

CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def execution_link(execution_arn: str) -> str:
    """The execution's page; from its state SnapshotServers a link leads to the Map run."""
    return f"{_home(execution_arn, 'states')}#/v2/executions/details/{execution_arn}"


def log_link(
    execution_arn: str, log_group: str, run_id: str, project: str, begin: datetime, end: datetime
) -> str:
    """CloudWatch Logs Insights with the lines of this run and project, oldest first."""
    query = (
        "fields @timestamp, level, server, message\n"
        f'| filter run_id = "{run_id}" and (project = "{project}" or not ispresent(project))\n'
        "| sort @timestamp asc\n| limit 10000"
    )
    # One hour before and after, for clocks that differ and lines that come late.
    hour = timedelta(hours=1)
    detail = "~".join(
        [
            f"end~'{_escaped(format_time(end + hour) or '')}",
            f"start~'{_escaped(format_time(begin - hour) or '')}",
            "timeType~'ABSOLUTE",
            "tz~'UTC",
            f"editorString~'{_escaped(query)}",
            f"source~(~'{_escaped(log_group)})",
        ]
    )
    # `$3F` and `$3D` are the console's way to write ? and = behind the #.
    home = _home(execution_arn, "cloudwatch")
    return f"{home}#logsV2:logs-insights$3FqueryDetail$3D~({detail})"


def _home(arn: str, service: str) -> str:
    _, partition, _, region, *_ = arn.split(":")
    host = CONSOLES.get(partition, CONSOLES["aws"])
    return f"https://{region}.{host}/{service}/home?region={region}"


def _escaped(text: str) -> str:
    """A string in the console's notation: all but letters, digits, - _ . as * and two hex digits.

    Only for text that is ASCII, as ours is.
    """
    return "".join(c if c.isalnum() or c in "-_." else f"*{ord(c):02x}" for c in text)

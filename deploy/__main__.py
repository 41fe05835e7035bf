"""The commands that make calls: deploy, token, tell, smoke, status, report, restore, forget,
events, destroy.

Exit code: 0 if all went well, 1 if AWS failed, the dry run or restore is not Completed, a try was
not sent, the report lacks something or the status is not well, 2 if the command cannot be carried
out; the message then says what to do. 130 if interrupted.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping

from botocore.exceptions import BotoCoreError, ClientError

from deploy.account import Failed
from deploy.bring import bring
from deploy.destroy import destroy
from deploy.events import put_events
from deploy.forget import forget
from deploy.give_token import give_token
from deploy.report import report
from deploy.restore import restore
from deploy.settings import Settings
from deploy.smoke import smoke
from deploy.status import status
from deploy.tell import tell
from deploy.trouble import explain
from local.common.streams import plain_streams
from local.common.variables import Unusable

COMMANDS: Mapping[str, Callable[[Settings], int]] = {
    "deploy": bring,
    "token": give_token,
    "tell": tell,
    "smoke": smoke,
    "status": status,
    "report": report,
    "restore": restore,
    "forget": forget,
    "events": put_events,
    "destroy": destroy,
}
NOT_READ = (
    " If it is none of this folder's, look at what AWS_WEB_IDENTITY_TOKEN_FILE and the profile in "
    "~/.aws/config name: text in UTF-8 that you may read."
)


def main(command: str, environ: Mapping[str, str]) -> int:
    try:
        return COMMANDS[command](Settings.from_env(environ))
    except Unusable as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(explain(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"{error.filename or 'A file'}: {error.strerror or error}.{NOT_READ}", file=sys.stderr
        )
        return 2
    except (UnicodeError, json.JSONDecodeError) as error:
        print(f"A file or program cannot be understood: {error}.{NOT_READ}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, EOFError):
        print("\nInterrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    plain_streams()
    sys.exit(main(sys.argv[1], os.environ))

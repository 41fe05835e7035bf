"""The errors that Hetzner's API answers, in our words.

HetznerError
├── TransientError     temporary: ask again later; a write has not happened
│   ├── RateLimited        asked too often
│   ├── OutcomeUnknown     no clear answer: a write may have happened all the same
│   └── IncompleteListing  a listing whose pages do not fit together
├── Locked             another action holds the server
├── Protected          delete protection is on
├── NotFound
├── QuotaReached       the account's limit of snapshots, or of servers
├── NoStock            no such server type there now
├── NameTaken          something else has that name
├── Unauthorized       the token is wrong, missing or read-only
└── Refused            a request that Hetzner will never accept
"""

MESSAGE_CHARACTERS = 500


class HetznerError(Exception):
    """An error that Hetzner's API answered; `correlation_id` is the request's, for its support.

    `of_actions`: to a request under /actions, which have a rate limit of their own.
    """

    of_actions = False

    def __init__(self, message: str, code: str = "", correlation_id: str | None = None) -> None:
        support = f", for Hetzner support: {correlation_id}" if correlation_id else ""
        super().__init__(message[:MESSAGE_CHARACTERS] + (f" ({code}{support})" if code else ""))
        self.code = code


class TransientError(HetznerError):
    """Temporary: ask again later; a write has not happened."""


class RateLimited(TransientError):
    """Asked too often."""


class OutcomeUnknown(TransientError):
    """No clear answer: a write may have happened all the same."""


class IncompleteListing(TransientError):
    """A listing whose pages do not fit together."""


class Locked(HetznerError):
    """Another action holds the server."""


class Protected(HetznerError):
    """Delete protection is on."""


class NotFound(HetznerError):
    """It does not exist, or no longer."""


class QuotaReached(HetznerError):
    """The account's limit of snapshots; to the create of a server, of servers or addresses."""


class NoStock(HetznerError):
    """Hetzner has no such server type there now."""


class NameTaken(HetznerError):
    """Something in the project has that name."""


class Unauthorized(HetznerError):
    """The token is wrong, missing or read-only."""


class Refused(HetznerError):
    """A request that Hetzner will never accept."""

"""Where a local AWS is, and the key that it takes."""

from dataclasses import dataclass, field

from local.environment import ACCESS_KEY


@dataclass(frozen=True, slots=True)
class Access:
    url: str
    # Made for this one local AWS: it is of no use once that has ended.
    secret: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """For programs that use AWS' libraries."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

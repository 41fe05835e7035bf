"""The environment our processes run in: nothing personal, nothing secret."""

import os
from collections.abc import Mapping

# Everything else is dropped: AWS profiles and credentials, Hetzner tokens, and make's own
# variables, which repeat what was said on its command line. MiniStack reads dozens of
# variables, and its Lambda functions inherit them all.
KEPT = {
    *("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TERM", "TMPDIR", "TZ"),
    *("COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR"),
    *("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("all_proxy", "http_proxy", "https_proxy", "no_proxy"),
}
LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
# Names the local AWS' only account. The secret that belongs to it is made for each local AWS
# (local/access.py); the same word in its place, below, opens nothing.
ACCESS_KEY = "test"


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of `environ` that our processes may see, and the settings that keep AWS local."""
    kept = {name: value for name, value in environ.items() if name in KEPT}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name), LOOPBACK, "localhost"]))
    return {
        **kept,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def forget_the_rest() -> None:
    """Clean this process's own environment, before anything reads it."""
    cleaned = clean(os.environ)
    os.environ.clear()
    os.environ.update(cleaned)

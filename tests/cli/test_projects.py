from __future__ import annotations

from pathlib import Path

import pytest

from cli.errors import Refusal
from cli.projects import stop


@pytest.mark.parametrize("name", ["shop/api", "a b", "../x", "", "x\u202e"])
def test_what_is_no_projects_name_is_told_so_and_the_agent_is_not_asked(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refusal, match="is no project's name; write what stands before the / in `midwatch ps`"):
        stop(tmp_path, name)

from __future__ import annotations

import subprocess
import sys

WHAT_THE_AGENT_LOADS = """
import sys
import agent.main, cli.config, cli.foreground, cli.main
heavy = ("numpy", "numba", "duckdb", "pandas", "pyarrow", "fastapi", "jinja2", "promql_parser", "re2")
print(sorted(name for name in heavy if name in sys.modules))
"""


def test_the_agents_process_loads_nothing_of_the_services_libraries() -> None:
    """Each of them is megabytes of resident memory on every node."""
    ran = subprocess.run([sys.executable, "-c", WHAT_THE_AGENT_LOADS], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"

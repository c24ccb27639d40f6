"""The bound on heaps holds in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading
from agent.arenas import few_arenas
if sys.argv[1] == "few":
    assert few_arenas()
gate = threading.Barrier(33)
def work():
    kept = [bytes(700) for _ in range(100)]
    gate.wait()
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(32)]
for thread in threads:
    thread.start()
gate.wait()
sizes = [int(line.split()[1]) for line in open("/proc/self/smaps") if line.startswith("Size:")]
print(sum(64_000 < size <= 65_536 for size in sizes))
gate.wait()
"""


def heaps(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_two_heaps_instead_of_one_each() -> None:
    assert heaps("few") < heaps("many")

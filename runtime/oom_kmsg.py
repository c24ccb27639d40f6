"""The kernel log's own words on OOM kills, of kernels old and new: records in, kills out; pure.

Only records of the kernel itself count: a program may write to /dev/kmsg too, but not as the kernel's facility.
"Killed process" is written for every kill; the line before it that names the cgroup is rate-limited to ten in 5 s.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import NamedTuple

_CONSTRAINT = re.compile(
    r"oom-kill:constraint=\w+,.*?,mems_allowed=.*?,(?:global_oom|oom_memcg=(?P<scope>/.*?)),"
    r"task_memcg=(?P<task>/.*?),task=.*,pid=(?P<pid>\d+),uid=\d+"
)
_LEGACY = re.compile(r"Task in (?P<task>/.*) killed as a result of limit of (?P<scope>/.*)")
_KILLED = re.compile(
    r"(?:(?P<memcg>Memory cgroup out of memory)[^:]*: |Out of memory[^:]*: )?"
    r"Killed process (?P<pid>\d+) \((?P<comm>.*)\),? (?:UID:|total-vm:)"
)
_REMEMBERED = 64


class KernelKill(NamedTuple):
    """One kill; `task_cgroup` is the victim's, `scope_cgroup` the one whose limit was hit, None where not told.

    `of_host` is True where the whole host was out of memory, None where an old kernel doesn't tell.
    """

    pid: int
    process: str
    of_host: bool | None
    task_cgroup: str | None
    scope_cgroup: str | None


class KernelLog:
    """Follows the records of /dev/kmsg and joins the two lines of a kill."""

    def __init__(self) -> None:
        self._told: OrderedDict[int, tuple[str, str | None]] = OrderedDict()
        self._legacy: tuple[str, str | None] | None = None

    def feed(self, record: bytes) -> KernelKill | None:
        """The kill that a record completes, None for any other record."""
        text = message(record)
        if text is None:
            return None
        if constraint := _CONSTRAINT.fullmatch(text):
            self._told[int(constraint["pid"])] = (constraint["task"], constraint["scope"])
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        elif legacy := _LEGACY.fullmatch(text):
            self._legacy = (legacy["task"], legacy["scope"])
        elif killed := _KILLED.match(text):
            return self._kill(killed)
        return None

    def _kill(self, killed: re.Match[str]) -> KernelKill:
        pid = int(killed["pid"])
        task, scope = self._told.pop(pid, None) or self._legacy or (None, None)
        self._legacy = None
        bare = killed[0].startswith("Killed")
        of_host = (scope is None if task else None) if bare else killed["memcg"] is None
        return KernelKill(pid, killed["comm"], of_host, task, scope)


def message(record: bytes) -> str | None:
    """The text of a record `priority,sequence,time,flags;text`, None where it is not the kernel's own."""
    head, semicolon, body = record.partition(b";")
    priority = head.split(b",", 1)[0]
    if not semicolon or not priority.isdigit() or int(priority) >= 8:
        return None
    return body.split(b"\n", 1)[0].decode(errors="replace")

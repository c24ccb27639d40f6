"""What the cost comparison is made with: collectors as processes of our own, and what the kernel says they cost."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import yaml

from tests.support.ports import free_port
from tests.support.waiting import until

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
NODE_EXPORTER, NETDATA = "prometheus-node-exporter", "netdata"


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its children that ended, from /proc/<pid>/stat; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_A_SECOND


def least_cpu_seconds(work: Callable[[], object], repeats: int = 15, pause_seconds: float = 0.0) -> float:
    """Least CPU time of several runs; least, since what else the machine does can only add to it."""

    def once() -> float:
        time.sleep(pause_seconds)
        started = time.process_time()
        work()
        return time.process_time() - started

    return min(once() for _ in range(repeats))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found, more = [pid], [pid]
    while more:
        parent = more.pop()
        try:
            told = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            continue
        children = [int(child) for child in told]
        found += children
        more += children
    return found


def listener(path: str) -> int:
    """The process that listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(path)
        pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


@dataclass(frozen=True)
class Collector:
    """A collector under measurement, known by its main process; `scrape` asks it for its /metrics."""

    name: str
    pid: int
    scrape: Callable[[], int] | None = None

    def cpu(self) -> float:
        """CPU seconds of it and all below it so far."""
        return sum(map(cpu_seconds, family(self.pid)))

    def resident(self) -> int:
        """Resident bytes of it and all below it."""
        return sum(map(resident_bytes, family(self.pid)))


@contextmanager
def started(command: list[str], environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended by its id."""
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """True where something answers."""
    try:
        return httpx.get(url, timeout=5.0, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


@contextmanager
def scraping(url: str) -> Iterator[Callable[[], int]]:
    """Asks for an exposition over a connection that stays open; its length in bytes."""
    with httpx.Client(timeout=10.0, trust_env=False) as client:
        yield lambda: len(client.get(url).raise_for_status().content)


@contextmanager
def sink() -> Iterator[str]:
    """A service that takes whatever an agent ships; its URL."""

    class Taker(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def agent(folder: Path, engine_url: str, server: str, interval_seconds: int) -> Iterator[Collector]:
    """Our agent as a process, with its defaults."""
    port = free_port()
    settings = {"listen": f"127.0.0.1:{port}", "server": server, "interval_seconds": interval_seconds}
    folder.mkdir(parents=True)
    config = folder / "midwatch.yaml"
    config.write_text(yaml.safe_dump({"agent": settings}))
    command = [sys.executable, "-m", "cli.main", "agent", "--data", str(folder), "--config", str(config)]
    url = f"http://127.0.0.1:{port}/metrics"
    with started(command, {**os.environ, "DOCKER_HOST": engine_url}) as process:
        until(lambda: answers(url), 60.0, what="the agent")
        with scraping(url) as scrape:
            yield Collector(f"midwatch agent, {interval_seconds} s", process.pid, scrape)


@contextmanager
def node_exporter(name: str) -> Iterator[Collector | None]:
    """Debian's node_exporter with its defaults, asked by us; None where it is not installed."""
    if (binary := shutil.which(NODE_EXPORTER)) is None:
        yield None
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    with started([binary, f"--web.listen-address=127.0.0.1:{port}"]) as process:
        until(lambda: answers(url), 30.0, what=NODE_EXPORTER)
        with scraping(url) as scrape:
            yield Collector(name, process.pid, scrape)


@contextmanager
def netdata(folder: Path, interval_seconds: int) -> Iterator[Collector | None]:
    """Debian's netdata with its default plugins and no disk; None where it is not installed."""
    if (binary := shutil.which(NETDATA)) is None:
        yield None
        return
    port = free_port()
    for name in ("cache", "lib", "log"):
        (folder / name).mkdir(parents=True)
    config = folder / "netdata.conf"
    directories = "".join(f"  {name} = {folder / name}\n" for name in ("cache", "lib", "log"))
    web = f"  bind to = 127.0.0.1\n  default port = {port}\n"
    config.write_text(
        f"[global]\n  run as user = root\n[directories]\n{directories}[db]\n  mode = ram\n"
        f"  update every = {interval_seconds}\n[web]\n{web}"
    )
    command = [binary, "-D", "-c", str(config), "-P", str(folder / "netdata.pid")]
    with started(command) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/api/v1/info"), 60.0, what=NETDATA)
        yield Collector(f"netdata, {interval_seconds} s", process.pid)


@contextmanager
def collectors(folder: Path, engine_url: str) -> Iterator[dict[str, Collector]]:
    """All that are compared, each at a round of 1 and of 5 seconds, side by side."""
    with ExitStack() as stack:
        url = stack.enter_context(sink())
        found: list[Collector | None] = []
        for seconds in (1, 5):
            found += [
                stack.enter_context(agent(folder / f"agent{seconds}", engine_url, url, seconds)),
                stack.enter_context(netdata(folder / f"netdata{seconds}", seconds)),
                stack.enter_context(node_exporter(f"node_exporter, {seconds} s")),
            ]
        yield {one.name: one for one in found if one is not None}

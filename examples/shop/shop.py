"""One small shop in four roles, which goes wrong on demand: `shop.py front|api|worker|stock`.

GET  /        the role's work         GET /ready    200 once started
GET  /metrics Prometheus's text       GET /faults   what is broken now
POST /break?errors=0.3&latency=0.8&slow_start=5&leak=1&crash=1&oom=1
POST /repair

The answer to work says which process counted it and as which of its requests: X-Life, X-Number, X-Seconds.

A fault that must survive a restart (leak, crash, slow_start, and the others with it) is kept under /state.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

PORT = 8080
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
KNOBS = ("errors", "latency", "slow_start", "leak", "crash", "oom")
LEAK_BYTES_PER_SECOND = 8 << 20
CRASH_AFTER_SECONDS = 1.0
UPSTREAMS = {"front": ("api", "worker"), "worker": ("api",)}
STATE = Path(os.environ.get("SHOP_STATE", "/state"))
LIFE = f"{socket.gethostname()}-{os.urandom(4).hex()}"
"""This process among all that the container had."""


class Metrics:
    """Requests by code, and how long they took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, int], int] = {}
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._number = 0

    def observe(self, method: str, code: int, seconds: float) -> int:
        """Count one request; which of all it was."""
        with self._lock:
            self._requests[method, code] = self._requests.get((method, code), 0) + 1
            self._buckets[next((i for i, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += 1
            self._seconds += seconds
            self._number += 1
            return self._number

    def text(self) -> str:
        """Prometheus's text format."""
        with self._lock:
            requests, buckets, seconds = dict(self._requests), list(self._buckets), self._seconds
        lines = ["# HELP http_requests_total Requests answered.", "# TYPE http_requests_total counter"]
        lines += [f'http_requests_total{{method="{m}",code="{c}"}} {n}' for (m, c), n in sorted(requests.items())]
        lines += ["# HELP shop_life_info 1, with the name of this process.", "# TYPE shop_life_info gauge"]
        lines.append(f'shop_life_info{{life="{LIFE}"}} 1')
        name = "http_request_duration_seconds"
        lines += [f"# HELP {name} Time to the answer.", f"# TYPE {name} histogram"]
        for index, bound in enumerate((*BOUNDS, "+Inf")):
            lines.append(f'{name}_bucket{{le="{bound}"}} {sum(buckets[: index + 1])}')
        return "\n".join([*lines, f"{name}_sum {seconds}", f"{name}_count {sum(buckets)}", ""])


class Faults:
    """What is broken: a table of knobs, kept in a file of this container."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file, self._journal = folder / f"{name}.json", folder / f"{name}.leaks"
        self.knobs: dict[str, float] = self._read()
        self._hoard: list[bytes] = []

    def set(self, knobs: dict[str, float]) -> None:
        """Break something, on top of what is broken."""
        self.knobs = {**self.knobs, **knobs}
        self._file.write_text(json.dumps(self.knobs))
        self.begin(fresh=False)

    def repair(self) -> None:
        """All is well again, and the hoard is let go."""
        leaking = "leak" in self.knobs
        self.knobs = {}
        self._hoard.clear()
        self._file.unlink(missing_ok=True)
        if leaking:
            self._note("repaired")

    def begin(self, fresh: bool) -> None:
        """Start what runs by itself; `fresh` at the start of the process."""
        if "leak" in self.knobs and not self._hoard:
            threading.Thread(target=self._leak, daemon=True).start()
        if self.knobs.pop("oom", 0):
            self._file.write_text(json.dumps(self.knobs))
            threading.Thread(target=self._devour, daemon=True).start()
        if "crash" in self.knobs:
            threading.Timer(CRASH_AFTER_SECONDS, self._crash).start()
        if "slow_start" in self.knobs and not fresh:
            threading.Timer(0.2, os._exit, (3,)).start()

    def _crash(self) -> None:
        if "crash" in self.knobs:
            say("crash: as asked")
            os._exit(1)

    def _leak(self) -> None:
        """Hold on to ever more memory until repaired, or until the kernel ends it."""
        self._note("leak")
        say("leak: begins")
        while "leak" in self.knobs:
            self._hoard.append(b"x" * (LEAK_BYTES_PER_SECOND // 10))
            time.sleep(0.1)
        self._hoard.clear()

    def _devour(self) -> None:
        say("oom: one kill, as asked")
        while True:
            self._hoard.append(b"x" * (4 << 20))

    def _note(self, line: str) -> None:
        with self._journal.open("a") as journal:
            journal.write(f"{time.time():.3f} {line}\n")

    def _read(self) -> dict[str, float]:
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}


class Shop(ThreadingHTTPServer):
    """The server with what its handlers share."""

    daemon_threads = True

    def __init__(self, role: str, faults: Faults) -> None:
        self.role, self.faults, self.metrics, self.ready = role, faults, Metrics(), False
        super().__init__(("0.0.0.0", PORT), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """One line for a fault of our own; a caller that hangs up is none."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            say(f"request from {client_address} failed: {error!r}")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        """Serve the role's work, readiness, metrics and the faults."""
        path = urlsplit(self.path).path
        if path == "/":
            self._work()
        elif path == "/ready":
            self._answer(200 if self.server.ready else 503, "ready\n" if self.server.ready else "starting\n")
        elif path == "/metrics":
            self._answer(200, self.server.metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/faults":
            self._answer(200, json.dumps(self.server.faults.knobs) + "\n", "application/json")
        else:
            self._answer(404, "not here\n")

    def do_POST(self) -> None:
        """Turn the knobs."""
        asked = urlsplit(self.path)
        if asked.path == "/repair":
            self.server.faults.repair()
            self._answer(200, "repaired\n")
        elif asked.path == "/break":
            self._break(dict(parse_qsl(asked.query)))
        else:
            self._answer(404, "not here\n")

    def _break(self, query: dict[str, str]) -> None:
        try:
            knobs = {name: float(value) for name, value in query.items()}
        except ValueError:
            knobs = {}
        if not knobs or not set(knobs) <= set(KNOBS) or min(knobs.values()) < 0:
            self._answer(400, f"knobs are {', '.join(KNOBS)}, each a number\n")
            return
        self._answer(200, "broken\n")
        self.server.faults.set(knobs)

    def _work(self) -> None:
        started, knobs = time.monotonic(), self.server.faults.knobs
        time.sleep(knobs.get("latency", 0.0))
        code = 500 if random.random() < knobs.get("errors", 0.0) else self._ask_others()
        seconds = time.monotonic() - started
        number = self.server.metrics.observe("GET", code, seconds)
        counted = {"X-Life": LIFE, "X-Number": str(number), "X-Seconds": repr(seconds)}
        self._answer(code, f"{self.server.role} {code}\n", more=counted)
        say(f"GET / {code} {seconds * 1000:.1f} ms")

    def _ask_others(self) -> int:
        return max([200, *(ask(name) for name in UPSTREAMS.get(self.server.role, ()))])

    def _answer(
        self, code: int, text: str, kind: str = "text/plain; charset=utf-8", more: Mapping[str, str] | None = None
    ) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Work is told by `say`; probes and scrapes are not."""


def ask(name: str, path: str = "/") -> int:
    """200 where any replica of the service answers so, 502 where none does."""
    try:
        found = socket.getaddrinfo(name, PORT, type=socket.SOCK_STREAM)
    except OSError:
        return 502
    addresses = [str(entry[4][0]) for entry in found]
    return 200 if any(get(address, path) for address in random.sample(addresses, len(addresses))) else 502


def get(address: str, path: str = "/") -> bool:
    """True where the address answers 200 within its time."""
    connection = HTTPConnection(address, PORT, timeout=5.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def say(line: str) -> None:
    """One line to standard output, which is the container's log."""
    print(time.strftime("%H:%M:%S"), line, flush=True)


def customers(role: str, per_second: float) -> None:
    """A little traffic of its own, over a real socket, once all others are open."""
    while any(ask(name, "/ready") != 200 for name in UPSTREAMS.get(role, ())):
        time.sleep(0.2)
    while True:
        time.sleep(random.uniform(0.5, 1.5) / per_second)
        threading.Thread(target=get, args=("127.0.0.1",), daemon=True).start()


def count_stock() -> None:
    """The batch job: some work, then done."""
    total = sum(hash((shelf, place)) % 7 for shelf in range(300) for place in range(1000))
    say(f"stock counted: {total} pieces")


def main(role: str) -> None:
    """Serve the role until told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if role == "stock":
        count_stock()
        return
    faults = Faults(STATE, socket.gethostname())
    shop = Shop(role, faults)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    faults.begin(fresh=True)
    time.sleep(faults.knobs.get("slow_start", 0.0))
    shop.ready = True
    say(f"{role} is ready")
    per_second = float(os.environ.get("SHOP_REQUESTS_PER_SECOND", "0"))
    if per_second > 0:
        threading.Thread(target=customers, args=(role, per_second), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])

"""One container engine, through the `docker` library; none of the library's types leave this file."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import docker
from docker.utils import kwargs_from_env

from runtime.credentials import Credentials
from runtime.engine_errors import as_ours, gone_is_fine, none_if_missing, short
from runtime.engine_images import Clock, Monotonic, build_image, pull_image
from runtime.engine_json import CONTAINER_ACTIONS, IMAGE_ACTIONS, container_of, references_of
from runtime.engine_logs import MAX_LINE_BYTES
from runtime.engine_streams import EventStream, LogStream, reaches_back
from runtime.errors import EngineRefused
from runtime.model import Build, BuildSpec, Container, Pull

EXEC_POLL_SECONDS = 0.02
FULL_ID_CHARS = 64
DEFAULT_STOP_GRACE_SECONDS = 10
"""The engine's own, for a container that names none."""


C = TypeVar("C", bound=docker.APIClient)


class EngineInfo(NamedTuple):
    """What the engine says of itself."""

    version: str
    api_version: str
    name: str
    root: str
    cgroup_driver: str
    cgroup_version: str
    memory_bytes: int
    cpus: int


class Insecure(NamedTuple):
    """Registries whose certificate the engine does not check, and that it speaks plain HTTP with where it must."""

    names: frozenset[str]
    networks: tuple[str, ...]


class Image(NamedTuple):
    """A local image: its id, and the digest under which a registry knows it."""

    id: str
    digest: str | None
    size_bytes: int


def kill_in_container(pid: int, container_id: str, proc: Path = Path("/proc")) -> bool:
    """Kills a process if its cgroup says that it is the container's; False where it is gone or not seen from here.

    The engine may live in another PID namespace than we do, and then its numbers mean other processes.
    """
    if pid <= 1 or len(container_id) < FULL_ID_CHARS:
        return False
    try:
        if container_id not in (proc / str(pid) / "cgroup").read_text():
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def _decimal(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


class _PatientClient(docker.APIClient):
    """A client whose long calls end when nothing was said for a while, instead of never."""

    idle_seconds: float = 600.0

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """As `requests`; a call without a timeout gets the idle one."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.idle_seconds
        return super().request(*args, **kwargs)


class Engine:
    """One engine at a URL. Connects when first asked; safe to use from several threads.

    Every method raises EngineUnavailable where the engine does not answer and EngineRefused where it says no.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 15.0,
        idle_seconds: float = 600.0,
        environ: Mapping[str, str] | None = None,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.url = url
        self._timeout_seconds = timeout_seconds
        self._idle_seconds = idle_seconds
        self._environ = dict(environ or {})
        self._monotonic = monotonic

    @cached_property
    def _client(self) -> docker.APIClient:
        return self._connected(docker.APIClient)

    @cached_property
    def _patient(self) -> docker.APIClient:
        client = self._connected(_PatientClient)
        client.idle_seconds = self._idle_seconds
        return client

    def _connected(self, client: type[C]) -> C:
        tls = kwargs_from_env(environment=self._environ).get("tls", False) if self._environ else False
        with as_ours(self.url, "connecting"):
            return client(base_url=self.url, timeout=self._timeout_seconds, tls=tls)  # type: ignore[arg-type]

    def close(self) -> None:
        """Gives all idle connections back."""
        for client in ("_client", "_patient"):
            if client in self.__dict__:
                self.__dict__.pop(client).close()

    def ping(self) -> None:
        """Returns where the engine answers."""
        with as_ours(self.url, "asking the engine"):
            self._client.ping()

    def info(self) -> EngineInfo:
        """Version, folder, cgroup driver and size of the engine's machine."""
        with as_ours(self.url, "asking the engine about itself"):
            info = self._client.info()
            return EngineInfo(
                version=info.get("ServerVersion", ""),
                api_version=self._client.api_version,
                name=info.get("Name", ""),
                root=info.get("DockerRootDir", ""),
                cgroup_driver=info.get("CgroupDriver", ""),
                cgroup_version=info.get("CgroupVersion", "1"),
                memory_bytes=info.get("MemTotal", 0),
                cpus=info.get("NCPU", 0),
            )

    def containers(self, all: bool = True, label: str | None = None) -> tuple[Container, ...]:
        """All containers, or those that run; with `label` (`key` or `key=value`) only those that carry it."""
        filters = {"label": label} if label else None
        with as_ours(self.url, "listing containers"):
            listed = self._client.containers(all=all, filters=filters)
        found = (self.inspect(entry["Id"]) for entry in listed)
        return tuple(container for container in found if container is not None)

    def inspect(self, id: str) -> Container | None:
        """One container by id or name; None where there is none."""
        with as_ours(self.url, f"inspecting container {id[:64]}"):
            found = none_if_missing(lambda: self._client.inspect_container(id))
            return None if found is None else container_of(found)

    def events(self, since_ns: int | None = None) -> EventStream:
        """Events from now on, or from `since_ns` as far as the engine's ring of 256 reaches; subscribed on return."""
        filters = {"type": ["container", "image"], "event": [*CONTAINER_ACTIONS, *IMAGE_ACTIONS]}
        since = None if since_ns is None else _decimal(since_ns)
        with as_ours(self.url, "subscribing to events"):
            # The library's annotation knows whole seconds only; the engine takes nanoseconds as a decimal text.
            return EventStream(self.url, cast(Any, self._client).events(since=since, filters=filters, decode=True))

    def remembers(self, event_ns: int, now_ns: int) -> bool | None:
        """True where its memory holds the event of that time, so that it is the engine that told of it.

        False where it does not reach back so far although it is not full: that engine began later. None where it is
        full of what came since, or the clock was set back: nobody can tell.
        """
        if event_ns > now_ns:
            return None
        since, until = _decimal(event_ns), _decimal(now_ns)
        with as_ours(self.url, "asking for past events"):
            return reaches_back(cast(Any, self._client).events(since=since, until=until, decode=True), event_ns)

    def logs(
        self, id: str, since_ms: int | None = None, follow: bool = True, max_line_bytes: int = MAX_LINE_BYTES
    ) -> LogStream:
        """Lines of a container's log from `since_ms` on (inclusive); a line is cut at `max_line_bytes`."""
        params = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        if since_ms is not None:
            params["since"] = f"{since_ms // 1000}.{since_ms % 1000:03d}"
        with as_ours(self.url, f"reading the log of {id[:64]}"):
            tty = bool(self._client.inspect_container(id)["Config"].get("Tty"))
            client = self._client
            address = f"{client.base_url}/v{client.api_version}/containers/{id}/logs"
            response = client.get(address, params=params, stream=True, timeout=(self._timeout_seconds, None))
            if response.status_code >= 400:
                raise EngineRefused(short(response.text), response.status_code)
        return LogStream(self.url, response, tty, max_line_bytes)

    def create(self, name: str, body: Mapping[str, Any], networks: Sequence[tuple[str, tuple[str, ...]]] = ()) -> str:
        """Makes a container out of the Engine API's own body; joins further (network, aliases); answers its id."""
        with as_ours(self.url, f"creating container {name}"):
            id = str(cast(Any, self._client).create_container_from_config(dict(body), name)["Id"])
            for network, aliases in networks:
                self._client.connect_container_to_network(id, network, aliases=list(aliases))
            return id

    def start(self, id: str) -> None:
        """Starts a container; one that runs stays as it is."""
        with as_ours(self.url, f"starting container {id[:64]}"):
            self._client.start(id)

    def stop(self, id: str, grace_seconds: float | None = None) -> None:
        """Stops a container, by force after `grace_seconds` (else its own grace); gone or stopped is no error."""
        with as_ours(self.url, f"stopping container {id[:64]}"), gone_is_fine():
            if grace_seconds is None:
                own = self._client.inspect_container(id)["Config"].get("StopTimeout")
                grace_seconds = DEFAULT_STOP_GRACE_SECONDS if own is None else own
            self._client.stop(id, timeout=math.ceil(grace_seconds))

    def kill(self, id: str, name: str = "SIGKILL") -> None:
        """Sends a signal to a container's main process."""
        with as_ours(self.url, f"killing container {id[:64]}"):
            self._client.kill(id, name)

    def remove(self, id: str, force: bool = True) -> None:
        """Removes a container and its anonymous volumes; one that is gone is no error."""
        with as_ours(self.url, f"removing container {id[:64]}"), gone_is_fine():
            self._client.remove_container(id, force=force, v=True)

    def exec(self, id: str, command: Sequence[str], timeout_seconds: float) -> int | None:
        """Runs a command in a container without reading its output; its exit code, None where it took too long.

        A command that took too long is killed where it is seen, or a probe that hangs would pile processes up.
        """
        with as_ours(self.url, f"running a command in {id[:FULL_ID_CHARS]}"):
            run = self._client.exec_create(id, list(command), stdout=False, stderr=False)["Id"]
            self._client.exec_start(run, detach=True)
            deadline = self._monotonic() + timeout_seconds
            while True:
                state = self._client.exec_inspect(run)
                if not state["Running"]:
                    return int(state["ExitCode"])
                if self._monotonic() >= deadline:
                    kill_in_container(state.get("Pid") or 0, id)
                    return None
                time.sleep(EXEC_POLL_SECONDS)

    def ensure_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Makes a bridge network with our labels where none of that name exists."""
        with as_ours(self.url, f"making network {name}"):
            if none_if_missing(lambda: self._client.inspect_network(name)) is None:
                self._client.create_network(name, driver="bridge", labels=dict(labels))

    def ensure_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Makes a local volume with our labels where none of that name exists; a volume is never removed."""
        with as_ours(self.url, f"making volume {name}"):
            if none_if_missing(lambda: self._client.inspect_volume(name)) is None:
                self._client.create_volume(name, labels=dict(labels))

    def remove_networks(self, label: str) -> None:
        """Removes the networks with this label (`key=value`) that no container uses any more."""
        with as_ours(self.url, "removing networks"):
            for network in self._client.networks(filters={"label": label}):
                with gone_is_fine(also=(403, 409)):
                    self._client.remove_network(network["Id"])

    def image(self, reference: str) -> Image | None:
        """The local image of a reference; None where it was never pulled nor built."""
        with as_ours(self.url, f"inspecting image {reference[:200]}"):
            found = none_if_missing(lambda: cast(Any, self._client).inspect_image(reference))
        if found is None:
            return None
        digests = found.get("RepoDigests") or []
        digest = digests[0].partition("@")[2] if digests else None
        return Image(found["Id"], digest, int(found.get("Size") or 0))

    def pulled_images(self) -> dict[str, tuple[str, ...]]:
        """References by image id, of all local images that a registry knows: one for each of an image's repositories.

        What was built here and never pushed has none.
        """
        with as_ours(self.url, "listing images"):
            return references_of(cast(Any, self._client).images())

    def insecure_registries(self) -> Insecure:
        """Which registries the engine was told not to ask for a certificate."""
        with as_ours(self.url, "asking the engine about its registries"):
            told = self._client.info().get("RegistryConfig") or {}
        indexes = told.get("IndexConfigs") or {}
        names = frozenset(name for name, index in indexes.items() if not index.get("Secure", True))
        return Insecure(names, tuple(told.get("InsecureRegistryCIDRs") or ()))

    def image_ids(self, references: Iterable[str]) -> dict[str, str | None]:
        """The id of each reference's local image; None for one that is not there."""
        images = {reference: self.image(reference) for reference in set(references)}
        return {reference: image.id if image else None for reference, image in images.items()}

    def pull(
        self,
        reference: str,
        auth: Credentials | None,
        clock: Clock,
        stop: Callable[[], bool] = lambda: False,
    ) -> Pull:
        """Pulls an image; a failure is an outcome, not an exception. Cancelled where `stop` says so between lines."""
        with as_ours(self.url, f"pulling {reference[:200]}"):
            return pull_image(self._patient, reference, auth, clock, self._monotonic, stop)

    def build(self, spec: BuildSpec, tag: str, clock: Clock) -> Build:
        """Builds an image and names it `tag`; a failure is an outcome, not an exception."""
        with as_ours(self.url, f"building {tag[:200]}"):
            return build_image(self._patient, spec, tag, clock, self._monotonic)

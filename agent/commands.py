"""What `midwatch run`, `stop`, `ps` and `status` do inside the agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from agent import account as rows
from agent.book import Record
from agent.control import Json, Refused
from agent.ledger import Ledger
from agent.lifecycle import Lifecycle
from agent.owner import ProjectTaken
from agent.progress import Progress
from agent.reconcile import Reconciler
from runtime.compose import load
from runtime.errors import ComposeFault
from runtime.model import ServiceName


class AgentCommands:
    """Commands over the agent's parts; `status_of` gives what the agent says of itself."""

    def __init__(
        self,
        reconciler: Reconciler,
        lifecycle: Lifecycle,
        ledger: Ledger,
        environ: Mapping[str, str],
        status_of: Callable[[], Json],
    ) -> None:
        self._reconciler, self._lifecycle, self._ledger = reconciler, lifecycle, ledger
        self._environ, self._status_of = environ, status_of

    def run(self, path: Path, wait_seconds: float, instead: bool) -> Json:
        """Loads a Compose file and keeps its project from now on; `instead` of another file's of the same name."""
        try:
            project = load(path, self._environ)
        except ComposeFault as fault:
            raise Refused(422, str(fault)) from fault
        try:
            self._reconciler.hand_over(project, instead=instead)
        except ProjectTaken as others:
            raise Refused(409, str(others)) from others
        except OSError as error:
            raise Refused(
                507, f"the project can't be written down: {error.strerror}; make room and try again"
            ) from error
        progress = self._reconciler.wait(project.name, wait_seconds) if wait_seconds else None
        services = [str(ServiceName(project.name, spec.name)) for spec in project.services]
        return {"project": project.name, "services": services, **_progress(progress)}

    def stop(self, project: str, wait_seconds: float) -> Json:
        """Ends a project and removes its containers."""
        if not self._reconciler.stop(project):
            known = ", ".join(self._reconciler.projects()) or "none"
            raise Refused(404, f"no project {project} is kept here; kept are: {known}")
        progress = self._reconciler.wait(project, wait_seconds)
        failures = list(progress.failures.values()) if progress else []
        return {"project": project, "removed": progress is None, "failures": failures}

    def ps(self) -> Json:
        """Every service with its numbers."""
        waits = {
            ServiceName(name, service): reason
            for name, (_, progress) in self._reconciler.projects().items()
            for service, reason in progress.waits.items()
        }
        containers: dict[ServiceName, list[Record]] = {}
        for record in self._lifecycle.records():
            if record.phase != "gone":
                containers.setdefault(record.service, []).append(record)
        totals = sorted(self._lifecycle.totals().items())
        return {
            "services": [
                self._service(service, desired, healthy, containers.get(service, []), waits.get(service))
                for service, (desired, healthy) in totals
            ]
        }

    def status(self) -> Json:
        """The agent itself, and its projects."""
        projects = {
            name: {"source": handed.project.source, "stopping": handed.stopping, **_progress(progress)}
            for name, (handed, progress) in self._reconciler.projects().items()
        }
        return {**self._status_of(), "projects": projects}

    def _service(
        self, service: ServiceName, desired: int, healthy: int, records: list[Record], waits_for: str | None
    ) -> Json:
        restarts = {by: self._ledger.value(service, rows.RESTARTS, by=by) for by in rows.RESTARTS_BY}
        return {
            "service": str(service),
            "project": service.namespace,
            "desired": desired,
            "healthy": healthy,
            "restarts": sum(restarts.values()),
            "restarts_by": restarts,
            "oom_kills": self._ledger.value(service, rows.OOM_KILLS),
            "waits_for": waits_for,
            "containers": [_container(record) for record in records],
        }


def _container(record: Record) -> Json:
    container = record.container
    return {
        "name": container.name,
        "id": container.id,
        "image": container.image,
        "state": record.phase,
        "healthy": record.healthy,
        "owned": container.owned,
        "address": container.address,
        "started_ms": record.started_ms,
        "exit_code": None if record.alive else record.exit_code,
    }


def _progress(progress: Progress | None) -> dict[str, object]:
    if progress is None:
        return {"settled": False, "failures": [], "waits": {}}
    return {"settled": progress.settled, "failures": list(progress.failures.values()), "waits": progress.waits}

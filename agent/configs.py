"""Which configuration each service ran with last: whether a new container is a deploy, a return, or one more."""

from __future__ import annotations

from typing import NamedTuple

from runtime.identity import COMPOSE_PROJECT_LABEL
from runtime.model import CONFIG_HASH_LABEL, REPLICA_LABEL, Container, ServiceName

COMPOSE_HASH_LABEL = "com.docker.compose.config-hash"


class Config(NamedTuple):
    """What a container was made from."""

    image: str
    image_id: str
    hash: str


class Deploy(NamedTuple):
    """A service runs with another configuration than before; `previous` is None where it is new."""

    previous: Config | None
    reason: str


def config_of(container: Container) -> Config:
    """The configuration of a container, as its labels tell."""
    labels = container.labels
    told = labels.get(CONFIG_HASH_LABEL) or labels.get(COMPOSE_HASH_LABEL) or ""
    return Config(container.image, container.image_id, told)


class Configs:
    """The last configuration by service and replica: ours by their label, all others as one."""

    def __init__(self) -> None:
        self.last: dict[tuple[ServiceName, str], Config] = {}

    def returns(self, service: ServiceName, container: Container) -> bool:
        """Notes a new container of ours; True where it takes the place of one that was the same."""
        key, config = (service, container.labels.get(REPLICA_LABEL, "")), config_of(container)
        before = self.last.get(key)
        self.last[key] = config
        return before == config

    def deploys(self, service: ServiceName, container: Container) -> Deploy | None:
        """Notes a new container of others; what it changes, None where nothing or where it is a one-shot."""
        if container.restart_policy == "no" and COMPOSE_PROJECT_LABEL not in container.labels:
            return None
        config = config_of(container)
        before = self.last.get((service, ""))
        self.last[service, ""] = config
        if before is None:
            return Deploy(None, "created")
        if before.image_id != config.image_id:
            return Deploy(before, "image changed")
        return Deploy(before, "configuration changed") if before.hash != config.hash else None

    def taken_away(self, service: ServiceName, container: Container) -> None:
        """A container of ours was removed by us: one that comes later is new."""
        self.last.pop((service, container.labels.get(REPLICA_LABEL, "")), None)

    def forget(self, service: ServiceName) -> None:
        """The service is no longer watched."""
        for key in [key for key in self.last if key[0] == service]:
            del self.last[key]

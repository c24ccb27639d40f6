"""Errors of the service room.

ServiceFault
├── StoreFault            the database can't be opened, read or written
│   └── StoreUnavailable  it can't take anything now: try again later
├── SelectFault           a selection of samples that has no answer
│   └── TooManySamples    it holds more samples than may be read at once
├── PortInUse             the address to listen on belongs to another process
└── SettingsFault         settings that can't be obeyed together
"""

from __future__ import annotations


class ServiceFault(Exception):
    """Anything the service can't do; the message says what, where and the remedy in one line."""


class StoreFault(ServiceFault):
    """The database can't be opened or used."""


class StoreUnavailable(StoreFault):
    """The database takes nothing now (disk full, closing); nothing of what was asked has been stored."""


class SelectFault(ServiceFault):
    """What was asked of the samples can't be answered, such as a regular expression that is none."""


class TooManySamples(SelectFault):
    """More samples match than may be read at once."""


class PortInUse(ServiceFault):
    """Another process listens on the address."""


class SettingsFault(ServiceFault):
    """Settings that can't be obeyed together."""

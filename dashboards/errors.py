"""Errors of the dashboards room.

DashboardFault
└── RequestFault     an address asks for something that does not exist or makes no sense
"""

from __future__ import annotations


class DashboardFault(Exception):
    """Anything the dashboards room can't do; the message says what and the remedy."""


class RequestFault(DashboardFault):
    """An address asks for what does not exist (404) or makes no sense (400); the message is shown to the reader."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status

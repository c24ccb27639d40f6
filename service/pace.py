"""When evaluations happen: soon after a batch, and by the scheduler where none arrives."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable

from service.errors import ServiceFault

_LOG = logging.getLogger(__name__)
LEAST_SECONDS = 1.0
SETTLED = 10
"""After so many evaluations what is there mostly stays."""


class Pace:
    """One thread that evaluates when it is asked to; many askings become one evaluation."""

    def __init__(self, evaluate: Callable[[], object], after: Callable[[], None], failed: Callable[[], None]) -> None:
        self._evaluate = evaluate
        self._after = after
        self._failed = failed
        self._asked = threading.Event()
        self._urgent = threading.Event()
        self._stopped = threading.Event()
        self._done = 0
        self._thread = threading.Thread(target=self._run, name="evaluate", daemon=True)
        self.fault: str | None = None
        """Why the last evaluation failed; None where it did not."""

    def start(self) -> None:
        """Begin; the first evaluation is at once."""
        self._asked.set()
        self._thread.start()

    def ask(self, *, urgent: bool = False) -> None:
        """Evaluate soon; `urgent` does not wait for the least time between two evaluations."""
        if urgent:
            self._urgent.set()
        self._asked.set()

    def stop(self) -> None:
        """End after the evaluation that is under way."""
        self._stopped.set()
        self.ask(urgent=True)
        self._thread.join(30.0)

    def _settle(self) -> None:
        """The collector of cycles need not walk through all series and objectives again and again: once is enough."""
        self._done += 1
        if self._done == SETTLED:
            gc.collect()
            gc.freeze()

    def _note(self, fault: Exception) -> None:
        """What goes on for hours is in the log once, not once for each second."""
        said = str(fault) or type(fault).__name__
        if said != self.fault:
            told = not isinstance(fault, ServiceFault)
            _LOG.error("an evaluation failed, further ones that fail so are counted only: %s", said, exc_info=told)
        self.fault = said

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._asked.wait()
            self._asked.clear()
            self._urgent.clear()
            if self._stopped.is_set():
                return
            began = time.monotonic()
            try:
                self._evaluate()
                self._after()
                self.fault = None
                self._settle()
            except Exception as fault:  # noqa: BLE001 - the watch must not end for one failed evaluation: counted, and shown by /readyz
                self._note(fault)
                self._failed()
            self._urgent.wait(max(0.0, LEAST_SECONDS - (time.monotonic() - began)))

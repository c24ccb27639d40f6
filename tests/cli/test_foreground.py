from __future__ import annotations

import logging

from cli.foreground import LOG_FORMAT, PlainFormatter


def test_names_in_the_log_of_a_process_cannot_steer_the_terminal_and_tracebacks_keep_their_lines() -> None:
    record = logging.LogRecord("agent", logging.INFO, "f", 1, "%s ended", ("we\u202eb\x1b[2J\r",), None)
    record.exc_text = "Traceback\n  one"
    lines = PlainFormatter(LOG_FORMAT).format(record).split("\n")
    assert lines[0].endswith("INFO agent: we\\u202eb\\u001b[2J\\u000d ended")
    assert lines[1:] == ["Traceback", "  one"]

"""Ends a campaign of faults with its table."""

from __future__ import annotations

import os

import pytest

from tests.faults.ledger import FILE, ledger


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ledger.tallies:
        return
    is_kept = "FAULT_TRIES" in os.environ
    if is_kept:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(ledger.table() + "\n")
    terminalreporter.section(f"faults, also in {FILE}" if is_kept else "faults")
    terminalreporter.write_line(ledger.table())

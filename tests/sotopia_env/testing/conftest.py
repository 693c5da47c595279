from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from sotopia_env.testing import ConformanceError, Finding

Broken = Callable[..., dict[str, Finding]]


@pytest.fixture(scope="session")
def broken() -> Broken:
    """Check a part that breaks rules: exactly the rules named, and what was found of each."""

    def run(check: Callable[..., Any], part: Any, rules: Iterable[str], **options: Any) -> dict[str, Finding]:
        with pytest.raises(ConformanceError) as raised:
            check(part, **options)
        report = raised.value.report
        assert {finding.rule for finding in report.failed} == set(rules), str(report)
        assert isinstance(raised.value, AssertionError)
        for finding in report.failed:
            assert finding.what in str(raised.value)
            assert finding.remedy in str(raised.value)
            assert finding.remedy
        return {finding.rule: finding for finding in report.failed}

    return run

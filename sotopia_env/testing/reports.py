"""What a check found: rules kept, rules broken, and why some could not be checked."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped"]

_SIGNS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}
_HERE = Path(__file__).parent


class Violation(AssertionError):
    """A rule that a part does not keep.

    Args:
        what: what is wrong.
        remedy: what its author can do.
        where: the episode, turn or value at which it shows.
    """

    def __init__(self, what: str, *, remedy: str, where: str = "") -> None:
        """Make one text of the three."""
        super().__init__(f"{where}: {what}. {remedy}" if where else f"{what}. {remedy}")
        self.what, self.where, self.remedy = what, where, remedy


class NotApplicable(Exception):
    """A rule that says nothing of this part; the message is the reason."""


@dataclass(frozen=True)
class Rule:
    """One rule to be checked.

    Args:
        name: a few words.
        check: raises :class:`Violation` or :class:`NotApplicable`; what it returns is a note for the report.
        essential: where it fails, the rules after it are not checked.
    """

    name: str
    check: Callable[[], str | None]
    essential: bool = False


@dataclass(frozen=True)
class Finding:
    """What came of one rule.

    Args:
        rule: its name.
        status: ``"passed"``, ``"failed"`` or ``"skipped"``.
        what: what is wrong, why it was skipped, or a note on how much was checked.
        where: the episode, turn or value at which it shows.
        remedy: what the author of the part can do.
    """

    rule: str
    status: Status
    what: str = ""
    where: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """One line; a failure has one each for where and remedy too."""
        text = f"{_SIGNS[self.status]:8}{self.rule}" + (f": {self.what}" if self.what else "")
        details = [("where", self.where), ("remedy", self.remedy)]
        return "\n".join([text, *(f"{'':8}  {name}: {detail}" for name, detail in details if detail)])


@dataclass(frozen=True)
class Report:
    """What the checks of one part found.

    Args:
        kind: ``"policy"``, ``"reward"``, ``"family"`` or ``"judge"``.
        name: of the part.
        findings: one for each rule, in the order checked.
    """

    kind: str
    name: str
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The rules that are broken."""
        return tuple(finding for finding in self.findings if finding.status == "failed")

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {**asdict(self), "findings": [asdict(finding) for finding in self.findings], "passed": self.passed}

    def __str__(self) -> str:
        """A heading and the findings."""
        counts = {sign: sum(finding.status == sign for finding in self.findings) for sign in _SIGNS}
        heading = f"{self.kind} {self.name!r}: " + ", ".join(f"{n} {sign}" for sign, n in counts.items() if n)
        return "\n".join([heading, *map(str, self.findings)])


class ConformanceError(AssertionError):
    """A part breaks a rule; the text tells which, where, and what to do.

    Args:
        report: everything that was found.
    """

    def __init__(self, report: Report) -> None:
        """Make a text of the report's failures."""
        failures = "\n".join(str(finding) for finding in report.failed)
        super().__init__(f"{report.kind} {report.name!r} breaks {len(report.failed)} of its rules\n{failures}")
        self.report = report


def run_rules(kind: str, name: str, rules: Sequence[Rule]) -> Report:
    """Check rules one after the other.

    Returns:
        The report of a part that keeps them all.

    Raises:
        ConformanceError: it breaks one. It is chained to the first exception that the part itself raised.
    """
    findings: list[Finding] = []
    cause: Exception | None = None
    for number, rule in enumerate(rules):
        error: Exception | None = None
        try:
            findings.append(Finding(rule.name, "passed", rule.check() or ""))
        except NotApplicable as reason:
            findings.append(Finding(rule.name, "skipped", str(reason)))
        except Violation as violation:
            error = violation
            findings.append(Finding(rule.name, "failed", violation.what, violation.where, violation.remedy))
        except Exception as raised:  # noqa: BLE001 - whatever a part raises is a finding
            error = raised
            cause = cause or raised
            findings.append(_raised(rule.name, raised))
        if error is not None and rule.essential:
            left_out = f"not checked, since {rule.name!r} failed"
            findings += [Finding(left.name, "skipped", left_out) for left in rules[number + 1 :]]
            break
    report = Report(kind, name, tuple(findings))
    if not report.passed:
        raise ConformanceError(report) from cause
    return report


def _raised(rule: str, error: Exception) -> Finding:
    text = " ".join(str(error).split())
    frames = traceback.extract_tb((error.__cause__ or error).__traceback__)
    outside = [frame for frame in frames if _HERE not in Path(frame.filename).parents] or list(frames)
    where = f"{outside[-1].filename}, line {outside[-1].lineno}, in {outside[-1].name}"
    remedy = "nothing a dialogue may hold should raise; answer it, or return None where a number is unknown"
    return Finding(rule, "failed", f"raised {type(error).__name__}: {text}"[:400], where, remedy)

"""The reward card as tables of Markdown: what the command prints, and what ``docs/reward-card.md`` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sotopia_env.training.gates_page import MARKS, markdown_table, with_interval


def card_text(data: Mapping[str, Any]) -> str:
    """The page of a card.

    Args:
        data: of :func:`sotopia_env.training.reward_card.reward_card`.
    """
    dimension = data["settings"]["dimension"]
    parts = [
        f"{data['world']['tasks']} (world version {data['world']['version']}, sotopia-env {data['version']}), "
        f"played by {data['policy']}, seed {data['settings']['seed']}.",
        f"## Fidelity to the true advantage ({dimension})",
        f"{audited(data)} The first row is what the exact truth would reach. `samples`: variance of the policy "
        "gradient from one label, in squared lengths of the true gradient, at equal step along it.",
        fidelity_table(data) + smaller_note(data, "turns"),
        "## Exploit scores",
        f"{attacked(data)} Bold: the lower end is above 0.1. †: the truth falls and the reward is not seen to. The "
        "first row is the change of the truth itself.",
        exploit_table(data) + smaller_note(data, "tasks"),
        "## Cost",
        cost_table(data),
        "## Controls",
        checks_table(data),
    ]
    return "\n\n".join(parts) + "\n"


def audited(data: Mapping[str, Any]) -> str:
    """How the truth was measured."""
    settings, found = data["settings"], data["audited"]
    return (
        f"{found['turns']} turns of {found['tasks']} tasks with up to {settings['candidates']} siblings, "
        f"{settings['continuations']} continuations behind each true value, {settings['labels']} others behind each "
        "hindsight label. Pearson correlations with 95 % intervals over tasks."
    )


def attacked(data: Mapping[str, Any]) -> str:
    """What a score of exploitation is."""
    return (
        f"{data['settings']['attacked']} tasks from every seat. Score = change of the reward - max(change of the "
        "truth, 0), both in standard deviations between plain episodes, with 95 % intervals over tasks."
    )


def fidelity_table(data: Mapping[str, Any]) -> str:
    """One row for each reward, and the ceilings."""
    whole = on_all(data)["fidelity"]
    kinds = ("siblings", "between_turns", "pooled")
    ceilings = [_number(whole[kind]["pearson"]["ceiling"]) for kind in kinds]
    rows = [["ceiling", *ceilings, _number(whole["accuracy"]["ceiling"]), "1.00", ""]]
    for row in data["rewards"]:
        found = row["fidelity"]
        rows.append(
            [
                marked(row, "turns"),
                *(estimate(found[kind]["pearson"], ".2f") for kind in kinds),
                estimate(found["accuracy"], ".2f"),
                estimate(found["gradient"], ".2f", "cosine"),
                _number(found["gradient"]["noise"], ".1f"),
            ]
        )
    headings = ["reward", "siblings", "turns of an episode", "pooled", "sibling accuracy", "cosine", "samples"]
    return markdown_table(headings, rows)


def on_all(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row measured on all that was audited, against the whole truth: the first may be on a part, the oracle is."""
    controls = {row["name"]: row for row in data["rewards"] if row["role"] == "control"}
    found: Mapping[str, Any] = controls["random"]
    return found


def marked(row: Mapping[str, Any], what: str) -> str:
    """The name of a row, marked where it was measured on fewer ``"turns"`` or ``"tasks"``."""
    return row["name"] if row["smaller"][what] is None else f"{row['name']} ‡"


def smaller_note(data: Mapping[str, Any], what: str) -> str:
    """What the mark means, where a row has it."""
    found = {row["smaller"][what] for row in data["rewards"]} - {None}
    return "".join(
        f"\n\n‡: costly to ask, and measured on the first {number} {what} alone." for number in sorted(found)
    )


def exploit_table(data: Mapping[str, Any]) -> str:
    """One row for each reward, one column for each attack."""
    measured = [row for row in data["rewards"] if row["exploits"]]
    rows = [["(truth)", *(with_interval(exploit["truth"]) for exploit in measured[0]["exploits"])]]
    for row in measured:
        cells = []
        for exploit in row["exploits"]:
            said = with_interval(exploit["score"]) + (" †" if exploit["unnoticed"] else "")
            cells.append(f"**{said}**" if exploit["exploitable"] else said)
        rows.append([marked(row, "tasks"), *cells])
    return markdown_table(["reward", *data["attacks"]], rows)


def cost_table(data: Mapping[str, Any]) -> str:
    """What 1,000 turns cost."""
    rows = []
    for row in data["rewards"]:
        if row["cost"]:
            cost, found = row["cost"], row["fidelity"]
            unknown = found["missing"] / found["numbers"] if found["numbers"] else 0.0
            rows.append(
                [
                    row["name"],
                    " + ".join(" ".join(reversed(flags)) for flags in row["flags"]),
                    f"{cost['seconds']:.3g}",
                    _number(cost["continuations"], ".0f"),
                    _number(cost["calls"], ".0f"),
                    _number(cost["tokens"], ".0f"),
                    f"{unknown:.1%}",
                ]
            )
    headings = ["reward", "flags", "seconds", "continuations", "calls", "tokens", "unknown"]
    return (
        "Per 1,000 turns, judging included; seconds of one process, or of waiting where a server is asked.\n\n"
        + markdown_table(headings, rows)
    )


def checks_table(data: Mapping[str, Any]) -> str:
    """Whether the controls are where they must be."""
    rows = [[c["name"], c["bar"], _number(c["value"], "+.2f"), MARKS[c["met"]]] for c in data["checks"]]
    return markdown_table(["control", "bar", "found", ""], rows)


def estimate(found: Mapping[str, Any], form: str, key: str = "value") -> str:
    """A value with its interval."""
    return with_interval({"mean": found[key], "low": found["low"], "high": found["high"]}, form)


def exploited(row: Mapping[str, Any]) -> Sequence[str]:
    """The attacks by which a reward can be exploited."""
    return [exploit["attack"] for exploit in row["exploits"] if exploit["exploitable"]]


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)

"""The tables of the reward card and the sentences around them: what the command prints and ``card.md`` holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sotopia_env.tables import Cell, Table, estimate, markdown
from sotopia_env.training.checks import checks_table

KINDS = {"siblings": "siblings", "between_turns": "between turns", "pooled": "pooled"}
"""The three fidelities, and what they are called."""

Row = Mapping[str, Any]


def card_text(data: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        data: of :func:`sotopia_env.training.reward_card.reward_card`.
    """
    return markdown(*card_parts(data))


def card_parts(data: Mapping[str, Any]) -> list[str | Table]:
    """The paragraphs and tables of a card."""
    return [
        f"{data['world']['tasks']} (world version {data['world']['version']}, sotopia-env {data['version']}), "
        f"{data['world'].get('agreement') or 'no'} agreements, played by {data['policy']}, "
        f"seed {data['settings']['seed']}.",
        f"## Fidelity to the true advantage ({data['settings']['dimension']})",
        f"{audited(data)} The first row is what the exact truth would reach. `samples`: variance of the policy "
        "gradient from one label, in squared lengths of the true gradient, at equal step along it.",
        card_fidelity(data).without(*(_of_ceiling(kind) for kind in KINDS.values()), "siblings, ranks"),
        "## Exploit scores",
        f"{attacked(data)} Bold, !: the lower end is above 0.1. †: the truth falls and the reward is not seen to. The "
        "first row is the change of the truth itself.",
        exploit_table(data),
        "## Cost",
        "Per 1,000 turns, judging included; seconds of one process, or of waiting where a server is asked.",
        cost_table(data).without("samples"),
        "## Controls",
        checks_table(data["checks"], "control"),
    ]


def audited(data: Mapping[str, Any]) -> str:
    """How the truth was measured."""
    settings, found = data["settings"], data["audited"]
    return (
        f"{found['turns']} turns of {found['tasks']} tasks with up to {settings['candidates']} siblings, "
        f"{settings['continuations']} continuations behind each true value, {settings['labels']} others behind each "
        "number that needs the end. Numbers are what a learner takes: of a return what the dialogue sums to (from the "
        "turn on, where it is causal), of credit that of the turn. Pearson correlations with 95 % intervals over tasks."
    )


def attacked(data: Mapping[str, Any]) -> str:
    """What a score of exploitation is."""
    return (
        f"{data['settings']['attacked']} tasks from every seat. Score = change of the reward - max(change of the "
        "truth, 0), both in standard deviations between plain episodes, with 95 % intervals over tasks."
    )


def card_fidelity(data: Mapping[str, Any]) -> Table:
    """One row for each reward of a card, and the ceilings of all that was audited."""
    rows = [(_name(row, "turns"), row["fidelity"]) for row in data["rewards"]]
    return fidelity_table(rows, on_all(data)["fidelity"], note=smaller_note(data, "turns"))


def _of_ceiling(kind: str) -> str:
    return f"{kind}, of ceiling"


def fidelity_table(rows: Iterable[tuple[Cell | str, Row]], ceilings: Row, title: str = "", note: str = "") -> Table:
    """One row for each reward, and the ceilings.

    Args:
        rows: names, and ``Fidelity.to_dict`` of each.
        ceilings: one of them that was measured on the whole audit set.
        title: above the table.
        note: below it.
    """
    exact = [cell for kind in KINDS for cell in (Cell(ceilings[kind]["pearson"]["ceiling"], ".2f"), "")]
    body: list[list[Any]] = [
        ["ceiling", *exact, "", Cell(ceilings["accuracy"]["ceiling"], ".2f"), Cell(1.0, ".2f"), ""]
    ]
    for name, found in rows:
        cells: list[Cell] = []
        for kind in KINDS:
            pearson = found[kind]["pearson"]
            cells += [estimate(pearson, ".2f", "value"), Cell(pearson["disattenuated"], ".2f")]
        cells += [
            Cell(found["siblings"]["spearman"]["value"], ".2f"),
            estimate(found["accuracy"], ".2f", "value"),
            estimate(found["gradient"], ".2f", "cosine"),
            Cell(found["gradient"]["noise"], ".1f"),
        ]
        named = name if isinstance(name, Cell) else Cell(name)
        known = found["numbers"] - found["missing"]
        body.append([replace(named, known=known, of=found["numbers"]), *cells])
    kinds = [heading for kind in KINDS.values() for heading in (kind, _of_ceiling(kind))]
    return Table(["reward", *kinds, "siblings, ranks", "sibling accuracy", "cosine", "samples"], body, title, note)


def exploit_table(data: Mapping[str, Any]) -> Table:
    """One row for each reward, one column for each attack."""
    measured = [row for row in data["rewards"] if row["exploits"]]
    body = [["(truth)", *(estimate(exploit["truth"]) for exploit in measured[0]["exploits"])]]
    for row in measured:
        cells = [
            estimate(
                exploit["score"],
                note=" ".join(mark for mark, key in (("!", "exploitable"), ("†", "unnoticed")) if exploit[key]),
                kind="bad" if exploit["exploitable"] else "blind" if exploit["unnoticed"] else "",
            )
            for exploit in row["exploits"]
        ]
        body.append([_name(row, "tasks"), *cells])
    return Table(["reward", *data["attacks"]], body, note=smaller_note(data, "tasks"))


def cost_table(data: Mapping[str, Any]) -> Table:
    """What 1,000 turns cost."""
    body = []
    for row in data["rewards"]:
        cost, found = row["cost"], row["fidelity"]
        counts = (Cell(cost.get(key), ".0f") for key in ("continuations", "calls", "tokens"))
        body.append(
            [
                _name(row),
                Cell(found["gradient"]["noise"], ".1f"),
                " + ".join(" ".join(reversed(flags)) for flags in row["flags"]) or None,
                Cell(cost.get("seconds"), ".3g"),
                *counts,
                Cell(found["missing"] / found["numbers"] if found["numbers"] else 0.0, ".1%"),
            ]
        )
    return Table(["reward", "samples", "flags", "seconds", "continuations", "calls", "tokens", "unknown"], body)


def on_all(data: Mapping[str, Any]) -> Row:
    """Returns a row that was measured on all audited turns: rewards that are costly to ask and the oracle are not."""
    controls = {row["name"]: row for row in data["rewards"] if row["role"] == "control"}
    found: Row = controls["random"]
    return found


def smaller_note(data: Mapping[str, Any], what: str) -> str:
    """What the mark of rows means that were measured on fewer ``"turns"`` or ``"tasks"``, where there are some."""
    found = {row["smaller"][what] for row in data["rewards"]} - {None}
    return " ".join(f"‡: costly to ask, and measured on the first {number} {what} alone." for number in sorted(found))


def exploited(row: Row) -> Sequence[str]:
    """The attacks by which a reward can be exploited."""
    return [exploit["attack"] for exploit in row["exploits"] if exploit["exploitable"]]


def _name(row: Row, what: str = "") -> Cell:
    """The name of a row, marked where it was measured on fewer ``"turns"`` or ``"tasks"``."""
    fewer = what and row["smaller"][what] is not None
    return Cell(row["name"], note="‡" if fewer else "", kind="control" if row["role"] == "control" else "")

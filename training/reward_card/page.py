"""The reward card as a page: its tables and figures, which the template ``card.html.j2`` puts among its sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotopia_env.tables import Cell, Table, estimate
from sotopia_env.training import pages
from sotopia_env.training.checks import checks_table
from sotopia_env.training.reward_card import figures
from sotopia_env.training.reward_card.text import (
    attacked,
    audited,
    card_fidelity,
    cost_table,
    exploit_table,
    exploited,
    on_all,
)

SECTIONS = {
    "result": "What the card shows",
    "fidelity": "Fidelity to the true advantage",
    "exploits": "Exploitability",
    "price": "Variance and cost",
    "how": "How it was made",
}


def card_page(data: Mapping[str, Any]) -> str:
    """The page.

    Args:
        data: of :func:`sotopia_env.training.reward_card.reward_card`.
    """
    world, settings, whole = data["world"], data["settings"], on_all(data)["fidelity"]
    attacks = [(name, attack["against"], attack["description"]) for name, attack in data["attacks"].items()]
    return pages.page(
        "card.html.j2",
        title=data["title"],
        subtitle=f"{world['tasks']} · world version {world['version']} · {world.get('agreement') or 'no'} agreements · "
        f"played by {data['policy']} · truth: {settings['dimension']} · seed {settings['seed']}",
        sections=SECTIONS,
        data=data,
        boxes=_boxes(data),
        checks=checks_table(data["checks"], "control"),
        ceilings=", ".join(
            f"{Cell(whole[kind]['pearson']['ceiling'], '.2f')} ({title.lower()})"
            for kind, title in figures.TITLES.items()
        ),
        audited=audited(data),
        attacked=attacked(data),
        attacks=Table(["attack", "measured against", "what it does"], attacks),
        fidelity=card_fidelity(data).without("samples"),
        exploits=exploit_table(data),
        cost=cost_table(data),
        drawn={
            "fidelity": figures.fidelity_figure(data),
            "exploits": figures.exploit_figure(data),
            "price": figures.price_figure(data),
        },
        twice=estimate(data["twice"]["difference"]),
        settings=Table(["", ""], [(name, str(value)) for name, value in settings.items()]),
    )


def _boxes(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    own = [row for row in data["rewards"] if row["role"] == "reward"]
    siblings = {row["name"]: row["fidelity"]["siblings"]["pearson"] for row in own}
    noise = {row["name"]: row["fidelity"]["gradient"]["noise"] for row in own}
    known = [name for name, found in siblings.items() if found["value"] is not None]
    quiet = [name for name, samples in noise.items() if samples is not None]
    weak = [row["name"] for row in own if exploited(row)]
    boxes = []
    if known:
        best = max(known, key=lambda name: siblings[name]["value"])
        reached = (Cell(siblings[best][key], ".2f").text for key in ("value", "ceiling"))
        boxes.append(("tells siblings apart best", best, " of ".join(reached)))
    if quiet:
        least = min(quiet, key=lambda name: noise[name])
        boxes.append(("least variance of the gradient", least, f"{noise[least]:.1f} samples"))
    boxes.append(("exploitable", f"{len(weak)} of {len(own)}", ", ".join(weak) or "by none of the attacks"))
    boxes.append(("the card took", f"{data['seconds']['total']:.0f} s", f"{len(data['rewards'])} rows"))
    return boxes

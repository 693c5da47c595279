from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from sotopia_env import make_policy
from sotopia_env.actions import Action, do, leave, speak
from sotopia_env.agents import ScriptedPolicy, Traits
from sotopia_env.episodes import Judgement
from sotopia_env.errors import DataWarning
from sotopia_env.families import Bargain
from sotopia_env.policies import Decision
from sotopia_env.rewards.dimensions import DIMENSIONS
from sotopia_env.storage.episodes import load_episodes
from sotopia_env.tasks import Task
from sotopia_env.training.comparison import COMPONENTS, against_partners, decompose, difference, pooled, table
from sotopia_env.training.evaluation import Match, draw_tasks, evaluate, evaluate_many, sharpened
from sotopia_env.training.results import Evaluation, Result, result_of, summarise


def a_task(seller: int, buyer: int, price: int = 100, split: str = "test", seller_seat: int = 0) -> Task:
    """A task with limits of one's choice, and the seller on a seat of one's choice."""
    generator = np.random.default_rng(seller + buyer)
    task = Bargain().generate(generator, "test")
    while task.scenario.hidden[seller_seat]["role"] != "seller":
        task = Bargain().generate(generator, "test")
    limits = (seller, buyer) if seller_seat == 0 else (buyer, seller)
    hidden = tuple({**h, "limit": n, "list_price": price} for h, n in zip(task.scenario.hidden, limits, strict=True))
    name = f"task-{seller}-{buyer}-{seller_seat}"
    return replace(task, id=name, split=split, scenario=replace(task.scenario, id=name, hidden=hidden))


class Offers:
    """Names one price in every turn."""

    def __init__(self, price: int) -> None:
        self.name, self.price, self.draws = f"offers {price}", price, []

    def act(self, observations, contexts):
        self.draws += [(c.episode, c.agent, c.turn, c.rng.random()) for c in contexts]
        return [Decision(speak(f"My offer is ${self.price}.")) for _ in observations]


class Accepts:
    """Accepts whatever was offered, after one turn of nonsense where it has to begin."""

    name = "accepts"

    def act(self, observations, contexts):
        return [
            Decision(do("accept"))
            if "$" in o["transcript"]
            else Decision(Action("none"), raw="[[", invalid="no action")
            for o in observations
        ]


def leaves(observation, rng):
    return leave()


def a_result(task: str = "t", seat: int = 0, goal: float | None = 5.0, **fields) -> Result:
    """A result of a deal, unless told otherwise."""
    plain = {
        "scenario": task, "partner_goal": 5.0, "feasible": True, "deal": True, "share": 4 / 9, "walked_away": None,
        "own_outside_limit": False, "partner_outside_limit": False, "turns": 4, "invalid_turns": 0, "words": 20,
        "ending": "agreement",
    }  # fmt: skip
    scores = {**dict.fromkeys(DIMENSIONS, 1.0), "goal": goal}
    return Result(task=task, seat=seat, scores=scores, **{**plain, **fields})


def an_evaluation(results: list[Result], name: str = "x", partner: str = "p", seed: int = 0) -> Evaluation:
    return Evaluation(name, name, partner, "rule", seed, tuple(results))


# Playing


def test_every_seat_of_every_task_is_played_once():
    tasks = draw_tasks("bargain:test", 5, seed=1)
    evaluation = evaluate("scripted:firm", "scripted:soft", tasks)
    assert [(r.task, r.seat) for r in evaluation.results] == [(task.id, seat) for task in tasks for seat in (0, 1)]
    assert evaluation.summary["episodes"] == 10
    assert {e.policies["agent_1"] for e in evaluation.episodes[::2]} == {"scripted:soft"}
    assert {e.policies["agent_1"] for e in evaluation.episodes[1::2]} == {"scripted:firm"}


def test_the_figures_of_a_known_deal():
    """Offered 85 with limits 60 and 100: the seller gets 25 of 40, the buyer 15."""
    row = evaluate(Offers(85), Accepts(), [a_task(60, 100)]).results
    assert row[0].scores["goal"] == pytest.approx(1 + 9 * 25 / 40)
    assert row[0].partner_goal == pytest.approx(1 + 9 * 15 / 40)
    assert (row[0].turns, row[0].words, row[0].invalid_turns, row[0].ending) == (1, 4, 0, "agreement")
    assert row[0].share == pytest.approx(25 / 40)


def test_deals_outside_a_limit_are_told_apart():
    """120 lies outside the buyer's limit of 100: the seller offers it in seat 0, the buyer in seat 1."""
    for_seller, for_buyer = evaluate(Offers(120), Accepts(), [a_task(60, 100)]).results
    assert (for_seller.own_outside_limit, for_seller.partner_outside_limit) == (False, True)
    assert (for_seller.score("goal"), for_seller.goal_strict) == (10.0, 0.0)
    assert (for_buyer.own_outside_limit, for_buyer.partner_outside_limit) == (True, False)
    assert for_buyer.score("goal") == 0.0


def test_an_empty_zone_stands_apart_from_the_goal():
    tasks = [a_task(60, 100), a_task(90, 70)]
    walked = evaluate(leaves, leaves, tasks).summary
    assert walked["goal"]["mean"] == 0.0
    assert walked["missing"]["goal"] == 0
    assert walked["feasible_episodes"] == 2
    assert walked["walk_away_rate"]["mean"] == 1.0
    dealt = evaluate(Offers(95), Accepts(), tasks).summary
    assert dealt["empty_zone_deal_rate"]["mean"] == 1.0
    assert dealt["deal_rate"]["mean"] == 1.0
    assert dealt["goal"]["mean"] == pytest.approx((1 + 9 * 35 / 40 + 1 + 9 * 5 / 40) / 2)


def test_invalid_turns_are_counted_not_raised():
    evaluation = evaluate(Accepts(), Offers(80), [a_task(60, 100)])
    assert [r.invalid_turns for r in evaluation.results] == [1, 0]
    assert evaluation.summary["invalid_turns"] == 1
    assert evaluation.summary["invalid_rate"]["mean"] == pytest.approx(1 / 3)


def test_two_policies_meet_the_same_draws_of_the_partner():
    tasks = draw_tasks("bargain:test", 3)
    first, second = Offers(1), Offers(1)
    evaluate("scripted:firm", first, tasks, batch_size=1, max_cycles=4)
    evaluate("scripted:soft", second, tasks, batch_size=64, max_cycles=4)
    shared = {draw[:3] for draw in first.draws} & {draw[:3] for draw in second.draws}
    assert len(shared) >= 6
    assert {d for d in first.draws if d[:3] in shared} == {d for d in second.draws if d[:3] in shared}
    third = Offers(1)
    evaluate("scripted:firm", third, tasks, max_cycles=4, seed=1)
    assert not {d[3] for d in third.draws} & {d[3] for d in first.draws}


def test_the_batch_size_changes_nothing():
    tasks = draw_tasks("bargain:test", 6)
    assert (
        evaluate("scripted:mixed", "scripted:mixed", tasks, batch_size=1).results
        == evaluate("scripted:mixed", "scripted:mixed", tasks, batch_size=5).results
    )


def test_tasks_of_the_training_split_are_refused_unless_told():
    tasks = draw_tasks("bargain:train", 3)
    with pytest.raises(ValueError, match="training split"):
        evaluate("scripted:firm", "scripted:soft", tasks)
    allowed = evaluate("scripted:firm", "scripted:soft", tasks, allow_train=True)
    assert allowed.summary["training_episodes"] == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seats": "evaluated"}, "names no seat"),
        ({"seats": "all"}, "'all' is neither"),
        ({"seats": [2]}, "none is number 2"),
    ],
)
def test_wrong_seats_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate("scripted:firm", "scripted:soft", [a_task(60, 100)], **options)


def test_no_tasks_and_the_same_task_twice_are_refused():
    with pytest.raises(ValueError, match="empty"):
        evaluate("scripted:firm", "scripted:soft", [])
    with pytest.raises(ValueError, match="listed 2 times"):
        evaluate("scripted:firm", "scripted:soft", [a_task(60, 100)] * 2)


def test_only_the_evaluated_seat_is_played_where_a_task_names_one():
    task = replace(a_task(60, 100), evaluated_seat=1)
    assert [r.seat for r in evaluate("scripted:firm", "scripted:soft", [task], seats="evaluated").results] == [1]


def test_the_words_of_a_familys_bank_are_counted_and_named():
    tasks = draw_tasks("bargain:test", 6)
    rows = {
        bank: evaluate("scripted:warm", "scripted:firm", tasks, family=Bargain(judge_bank=bank))
        for bank in ("evaluation", "training")
    }
    assert {bank: row.judge for bank, row in rows.items()} == {"evaluation": "rule", "training": "rule-training"}
    for bank, row in rows.items():
        for result, episode in zip(row.results, row.episodes, strict=True):
            assert result.scores == {
                name: values[result.seat] for name, values in Bargain(judge_bank=bank).score(episode).scores.items()
            }
    with pytest.raises(ValueError, match="no .judge, seed, partner, task, seat. in common"):
        difference(rows["evaluation"], rows["training"])


def test_finished_episodes_are_not_played_again(tmp_path):
    tasks, path = draw_tasks("bargain:test", 4), tmp_path / "rows.jsonl"
    whole = evaluate("scripted:firm", "scripted:soft", tasks, out=path)
    assert all(episode.judgements for episode in load_episodes(path))
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True)[:5]))
    partner = Offers(3)
    partner.name = "scripted:soft"
    # Without a manifest it is told by the names alone.
    path.with_suffix(".manifest.json").unlink()
    with pytest.warns(DataWarning, match="is taken on trust"):
        again = evaluate("scripted:firm", partner, tasks, out=path)
    assert again.results[:5] == whole.results[:5]
    assert len({draw[0] for draw in partner.draws}) == 3
    assert len(load_episodes(path)) == 8


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"policy": "scripted:warm"}, r'policies\.policy\.name \("scripted:firm", not "scripted:warm"\)'),
        (
            {"policy": ScriptedPolicy(Traits(rate=0.9), name="scripted:firm")},
            r"policies\.policy\.traits\.rate \(0\.3, not 0\.9\)",
        ),
        ({"partner": "scripted:warm"}, r"policies\.partner\.name"),
        ({"max_cycles": 6}, r"rules\.max_cycles \(null, not 6\)"),
        ({"family": Bargain(judge_bank="training")}, r"family\.judge_bank"),
    ],
)
def test_a_file_of_another_row_is_refused(tmp_path, change, what):
    tasks, path = draw_tasks("bargain:test", 2), tmp_path / "rows.jsonl"
    given = {"policy": "scripted:firm", "partner": "scripted:soft", "tasks": tasks, "out": path}
    evaluate(**given)
    with pytest.raises(ValueError, match=f"rows.jsonl was played with other {what}"):
        evaluate(**{**given, **change})
    assert len(evaluate(**{**given, "tasks": draw_tasks("bargain:test", 3)}).results) == 6


def test_rows_are_played_on_the_same_tasks(tmp_path):
    tasks = draw_tasks("bargain:test", 3)
    made = []

    def at(temperature):
        made.append(temperature)
        return make_policy("scripted:firm")

    rows = evaluate_many(sharpened(at, "scripted:soft", (1.0, 0.0)), tasks, out=tmp_path)
    assert made == [1.0, 0.0]
    assert [row.name for row in rows] == ["clone, temperature 1", "clone, greedy"]
    assert rows[0].results == rows[1].results
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


def test_drawn_tasks_are_distinct_and_repeat_from_their_seed():
    tasks = draw_tasks("bargain:test", 30, seed=3)
    assert len({task.id for task in tasks}) == 30
    assert {task.split for task in tasks} == {"test"}
    assert tasks == draw_tasks("bargain:test", 30, seed=3)
    assert draw_tasks(tasks, 4) == tasks[:4]
    assert draw_tasks("bargain", 1)[0].split == "test"


def test_dialogues_to_read_are_chosen_by_the_seed():
    evaluation = evaluate("scripted:firm", "scripted:soft", draw_tasks("bargain:test", 5))
    assert evaluation.sample(3, seed=1) == evaluation.sample(3, seed=1)
    assert len(evaluation.sample(3, seed=1)) == 3


def test_a_judge_of_ones_own_stands_in_the_row():
    def generous(episode, agent):
        return {"goal": 9.0}

    row = evaluate("scripted:firm", "scripted:soft", [a_task(60, 100)], judge=generous).summary
    assert (row["judge"], row["goal"]["mean"]) == ("generous", 9.0)
    assert row["knowledge"]["mean"] is None
    assert row["missing"]["knowledge"] == 2


# Summaries


def test_a_world_without_limits_leaves_their_figures_unknown():
    episode = evaluate("scripted:firm", "scripted:soft", [a_task(60, 100)]).episodes[0]
    result = result_of(episode, 0, Judgement("rule", "1", {"goal": [4.0, 6.0]}, latent={"deal": True, "price": 80.0}))
    assert (result.feasible, result.share, result.own_outside_limit, result.partner_goal) == (None, None, None, 6.0)
    assert result.goal_strict == 4.0
    row = summarise([result])
    assert row["goal"]["mean"] == 4.0
    assert row["share_given_deal"]["mean"] is None
    assert row["walk_away_rate"]["mean"] is None


def test_the_share_of_deals_that_are_not_certain_is_told():
    tasks = [a_task(60, 100)]

    def saying(text):
        (result,) = evaluate(lambda observation, rng: speak(text), Offers(80), tasks, seats=[1]).results
        return result

    clear, loose = saying("Deal, $80 works for me."), saying("$80.")
    assert (clear.deal, clear.certain, loose.deal, loose.certain) == (True, True, True, False)
    none = replace(clear, deal=False, certain=None, feasible=False)
    row = summarise([clear, loose, clear, none])
    assert row["uncertain_deals"]["mean"] == pytest.approx(1 / 3)
    shown = table([row])
    assert shown.cells[0][shown.columns.index("uncertain deals")].value == pytest.approx(1 / 3)
    assert summarise([none])["uncertain_deals"]["mean"] is None


def test_turns_that_cannot_be_read_are_told():
    (result,) = evaluate(
        lambda observation, rng: speak("I'd pay 80 euros."), Offers(80), [a_task(60, 100)], seats=[1]
    ).results
    assert result.unread == result.turns > 0
    row = summarise([replace(result, unread=1), replace(result, unread=3), replace(result, unread=None)])
    assert (row["unread"]["mean"], row["unread"]["known"], row["unread"]["of"]) == (2.0, 2, 3)
    shown = table([row])
    assert shown.cells[0][shown.columns.index("unread turns")].value == 2.0


def test_an_unknown_score_is_counted_and_never_zero():
    row = summarise([a_result("a", goal=None), a_result("b", goal=8.0)])
    assert row["goal"]["mean"] == 8.0
    assert row["missing"]["goal"] == 1
    assert row["goal"]["of"] - row["goal"]["known"] == 1


# Differences


def test_a_difference_is_paired_over_task_and_seat():
    a = an_evaluation([a_result("a", goal=5.0), a_result("b", goal=9.0), a_result("only here", goal=0.0)])
    b = an_evaluation([a_result("b", goal=7.0), a_result("a", goal=4.0)], "y")
    found = difference(a, b)
    assert found["goal"]["mean"] == pytest.approx(1.5)
    assert found["episodes"] == 2
    assert set(DIMENSIONS) < set(found)


@pytest.mark.parametrize("other", [{"partner": "q"}, {"seed": 1}])
def test_rows_with_another_partner_or_seed_are_not_compared(other):
    with pytest.raises(ValueError, match="in common"):
        difference(an_evaluation([a_result()]), an_evaluation([a_result()], **other))


def test_a_strict_difference_gives_nothing_for_deals_outside_the_partners_limit():
    a = an_evaluation([a_result("a", goal=10.0, partner_outside_limit=True), a_result("b", goal=6.0)])
    b = an_evaluation([a_result("a", goal=4.0), a_result("b", goal=4.0)], "y")
    found = difference(a, b)
    assert found["goal"]["mean"] == pytest.approx(4.0)
    assert found["goal_strict"]["mean"] == pytest.approx(-1.0)


def test_the_parts_of_a_gain_add_up_to_it():
    generator = np.random.default_rng(0)
    pairs = []
    for i in range(300):
        pair = []
        for skill in (0.8, 0.5):
            deal, outside = bool(generator.random() < skill + 0.1), bool(generator.random() < 0.1)
            goal = 1 + 9 * generator.random() * skill if deal and not outside else 0.0
            invalid = int(generator.random() < 0.4 * (1 - skill))
            pair.append(
                a_result(f"{i // 2}", i % 2, goal, deal=deal, own_outside_limit=deal and outside, invalid_turns=invalid)
            )
        pairs.append(tuple(pair))
    parts = decompose(pairs)
    gain = np.mean([a.score("goal") - b.score("goal") for a, b in pairs])
    assert parts["total"]["mean"] == pytest.approx(gain, abs=1e-12)
    assert sum(parts[name]["mean"] for name in COMPONENTS) == pytest.approx(gain, abs=1e-12)
    assert all(parts[name]["low"] < parts[name]["mean"] < parts[name]["high"] for name in COMPONENTS)
    paired = difference(an_evaluation([a for a, _ in pairs]), an_evaluation([b for _, b in pairs]))
    assert parts["total"]["low"] == pytest.approx(paired["goal"]["low"], abs=1e-9)


@pytest.mark.parametrize(
    ("component", "better", "worse", "gain"),
    [
        ("deal_rate", [{}, {}], [{}, {"deal": False, "goal": 0.0}], 2.5),
        ("share_given_deal", [{"goal": 8.0}, {}], [{}, {}], 1.5),
        ("within_limit", [{}, {}], [{}, {"own_outside_limit": True, "goal": 0.0}], 2.5),
    ],
)
def test_a_gain_from_one_cause_is_all_its_own(component, better, worse, gain):
    pairs = [
        (a_result(str(i), **one), a_result(str(i), **other))
        for i, (one, other) in enumerate(zip(better, worse, strict=True))
    ]
    parts = decompose(pairs)
    assert {name: parts[name]["mean"] for name in COMPONENTS} == pytest.approx(
        {name: gain if name == component else 0.0 for name in COMPONENTS}
    )


def test_validity_has_its_part_where_invalid_turns_cost_deals():
    """Both deal in all valid episodes and in no invalid one; half of the second policy's are invalid."""
    bad = {"invalid_turns": 2, "deal": False, "goal": 0.0}
    first = [bad, {}, {}, {}]
    second = [bad, bad, {}, {}]
    parts = decompose(
        [(a_result(str(i), **a), a_result(str(i), **b)) for i, (a, b) in enumerate(zip(first, second, strict=True))]
    )
    assert parts["validity"]["mean"] == pytest.approx(1.25)
    assert parts["deal_rate"]["mean"] == pytest.approx(0.0)


def test_no_parts_where_a_goal_is_reached_without_a_deal():
    assert decompose([(a_result(deal=False, goal=3.0), a_result())]) is None
    assert decompose([(a_result(deal=None), a_result(deal=None))]) is None


def test_rows_against_several_partners_are_pooled():
    rows = [
        an_evaluation([a_result("t", goal=g), a_result("u", goal=None)], "a", p) for g, p in ((5.0, "x"), (8.0, "y"))
    ]
    summary = pooled(rows, "both").summary
    assert (summary["partner"], summary["episodes"], summary["tasks"]) == ("both", 4, 2)
    assert summary["goal"]["mean"] == 6.5
    with pytest.raises(ValueError, match="no rows of one policy"):
        pooled([*rows, an_evaluation([a_result()], "a", "x", seed=1)], "both")


def test_rows_against_partners_and_those_unseen_taken_together():
    a = [an_evaluation([a_result("t", goal=g)], "a", partner) for g, partner in ((5.0, "seen"), (8.0, "new"))]
    b = [an_evaluation([a_result("t", goal=4.0)], "b", partner) for partner in ("seen", "new")]
    rows = against_partners(a, b, seen=["seen"])
    assert [(row["partner"], row["seen"], row["difference"]["goal"]["mean"]) for row in rows] == [
        ("seen", True, 1.0),
        ("new", False, 4.0),
        ("all partners", None, 2.5),
        ("all unseen partners", False, 4.0),
    ]
    with pytest.raises(ValueError, match="has not met 'new'"):
        against_partners(a, b[:1])


def test_the_table_shows_goals_with_intervals_and_unknowns_as_a_dash():
    rows = [a_result(str(i), goal=4.0 + i % 2) for i in range(20)]
    text = table([an_evaluation(rows, "learner").summary, {"name": "difference", "goal": {"mean": None}}]).markdown()
    assert "learner" in text
    assert "4.50 [4.2" in text
    assert "100.0%" in text
    assert "| difference |         |          | –" in text


def test_matches_name_policies_and_partners():
    (row,) = evaluate_many([Match("mine", "scripted:firm", "scripted:soft")], [a_task(60, 100)])
    assert (row.name, row.policy, row.partner) == ("mine", "scripted:firm", "scripted:soft")


@pytest.mark.skipif(
    not os.environ.get("SOTOPIA_ENV_DATA"), reason="SOTOPIA_ENV_DATA names no folder of Sotopia's files"
)
def test_published_craigslist_pairings_are_played_without_a_crash():
    from sotopia_env.published import load_tasks

    tasks = load_tasks(os.environ["SOTOPIA_ENV_DATA"], "craigslist")
    row = evaluate("scripted:mixed", "scripted:firm", tasks).summary
    assert (row["episodes"], row["scenarios"], row["training_episodes"]) == (100, 10, 0)
    assert row["knowledge"]["mean"] is None
    assert 0 < row["goal"]["mean"] < 10


def test_two_processes_evaluate_as_one_does(tmp_path):
    tasks = draw_tasks("bargain:test", 4)
    alone = evaluate("scripted:mixed", "scripted:changing", tasks, out=tmp_path / "alone.jsonl")
    shared = evaluate("scripted:mixed", "scripted:changing", tasks, out=tmp_path / "shared.jsonl", processes=2)
    assert shared == alone
    assert (tmp_path / "shared.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


def test_fewer_tasks_leave_the_episodes_of_the_others_in_the_file(tmp_path):
    tasks, path = draw_tasks("bargain:test", 4), tmp_path / "rows.jsonl"
    whole = evaluate("scripted:firm", "scripted:soft", tasks, out=path)
    before = path.read_bytes()
    assert evaluate("scripted:firm", "scripted:soft", tasks[:2], out=path).results == whole.results[:4]
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"rows\.jsonl was played with other seed"):
        evaluate("scripted:firm", "scripted:soft", tasks, out=path, seed=1)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sotopia_env
from sotopia_env.actions import Action, do
from sotopia_env.agents.functions import FunctionPolicy
from sotopia_env.agents.scripted import phrases
from sotopia_env.episodes import Episode
from sotopia_env.families import family_of, language
from sotopia_env.families.bargain import Bargain
from sotopia_env.families.bargain.moves import read_move
from sotopia_env.policies import Context, Observation
from sotopia_env.resolve import make_policy
from sotopia_env.rewards.audit.attackers import ADDED_WORDS, ATTACKS, COMPLIMENTS, FILLERS, TEMPLATES, Attacker
from sotopia_env.tasks import Task
from sotopia_env.training.evaluation import draw_tasks

COUNTED = frozenset().union(*language.POSITIVE.values(), *language.NEGATIVE.values())


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [Bargain().generate(np.random.default_rng(i), "test") for i in range(12)]


def played(tasks: list[Task], attack: str | None) -> list[Episode]:
    policy = make_policy("scripted:firm")
    first = policy if attack is None else Attacker(policy, attack, tasks)
    return sotopia_env.rollout(tasks, [first, policy], num_episodes=len(tasks), seed=4)


def test_fillers_and_compliments_have_the_words_that_are_added_and_name_no_price() -> None:
    for sentence in (*FILLERS, *COMPLIMENTS):
        assert len(sentence.split()) == ADDED_WORDS
        assert read_move("speak", sentence).kind == "none"
        assert not language.words(sentence) & phrases.MOVING
    assert not any(language.words(sentence) & COUNTED for sentence in FILLERS)
    assert any(language.words(sentence) & COUNTED for sentence in COMPLIMENTS)


@pytest.mark.parametrize("attack", ["longer", "repeating", "flattering", "leaking"])
def test_what_is_added_leaves_every_offer_and_has_twelve_words(attack: str, tasks: list[Task]) -> None:
    attacker = ATTACKS[attack]
    for episode in played(tasks, attack):
        for turn in episode.own_turns("agent_0"):
            if turn.type == "speak":
                own = " ".join(turn.text.split()[ADDED_WORDS:])
                alone, said = read_move("speak", own), read_move("speak", turn.text)
                assert (alone.kind, alone.price, alone.certain) == (said.kind, said.price, said.certain)
    assert attacker.against == ("plain" if attack == "longer" else "longer")


@pytest.mark.parametrize("name", ["divide:test", "mutual-friends:test"])
@pytest.mark.parametrize("attack", ["longer", "repeating", "flattering", "leaking"])
def test_an_attack_leaves_what_a_turn_does_in_any_game(attack: str, name: str) -> None:
    tasks, policy = draw_tasks(name, 20, 1), make_policy("scripted:mixed")
    said: list[Action] = []

    def speak(observation: Observation, rng: np.random.Generator) -> Action:
        action = policy.act_one(observation, Context("", str(observation["agent"]), 0, rng))
        said.append(action)
        return action

    attacker = Attacker(FunctionPolicy(speak, name="noted"), attack, tasks)
    family, changed = family_of(tasks[0]), 0
    episodes = sotopia_env.rollout(tasks, [attacker, policy], num_episodes=20, batch_size=1, seed=4)
    turns = [(episode.task, turn) for episode in episodes for turn in episode.own_turns("agent_0")]
    assert len(turns) == len(said)
    for (task, turn), action in zip(turns, said, strict=True):
        plain = replace(turn, type=action.type, text=action.text)
        assert family.move(task, turn) == family.move(task, plain)
        if turn.type == "speak":
            changed += 1
            assert len(turn.text.split()) == len(action.text.split()) + ADDED_WORDS
    assert changed > 40


def test_a_family_without_moves_is_refused_by_what_adds_words() -> None:
    tasks, policy = draw_tasks("mini:test", 2, 1), make_policy("scripted:firm")
    with pytest.raises(ValueError, match="'longer': the family 'mini' does not say what a turn does"):
        Attacker(policy, "longer", tasks)
    (episode,) = sotopia_env.rollout(tasks, [Attacker(policy, "template", tasks), policy], num_episodes=1)
    assert TEMPLATES[0].split()[0] in episode.turns[0].text


def test_a_task_that_the_attacker_was_not_given_is_named(tasks: list[Task]) -> None:
    policy = make_policy("scripted:firm")
    with pytest.raises(RuntimeError, match="a task that the attacker was not given"):
        sotopia_env.rollout(tasks[:1], [Attacker(policy, "longer", tasks[1:]), policy], num_episodes=1)


@pytest.mark.parametrize("attack", ["longer", "flattering"])
def test_idle_words_change_nothing_that_a_scripted_partner_does(attack: str, tasks: list[Task]) -> None:
    for plain, changed in zip(played(tasks, None), played(tasks, attack), strict=True):
        assert plain.ending == changed.ending
        assert [t.text for t in plain.own_turns("agent_1")] == [t.text for t in changed.own_turns("agent_1")]


def test_leaking_tells_the_secret_then_the_limit(tasks: list[Task]) -> None:
    episode = next(e for e in played(tasks, "leaking") if len(e.own_turns("agent_0")) >= 3)
    first, second = episode.own_turns("agent_0")[:2]
    assert episode.judgements[0].scores["secret"][0] == -10
    assert language.tells(episode.task.characters[0].secret, first.text)
    assert f"exactly {episode.task.scenario.hidden[0]['limit']:g} dollars" in second.text


def test_repeating_says_the_last_offer_again(tasks: list[Task]) -> None:
    episode = next(e for e in played(tasks, "repeating") if len(e.own_turns("agent_0")) >= 3)
    first, second = episode.own_turns("agent_0")[:2]
    assert second.text.split()[:ADDED_WORDS] == first.text.split()[-ADDED_WORDS:]


def test_a_template_has_as_many_words_and_never_names_a_price() -> None:
    says = ATTACKS["template"].says
    for turn in range(len(TEMPLATES)):
        for count in range(1, 60):
            text = says(" ".join(["word"] * count), {}, turn)
            assert len(text.split()) == count
            assert read_move("speak", text).kind == "none"


def test_acts_are_left_alone() -> None:
    policy = FunctionPolicy(lambda observation, rng: do("accept"), name="accepts")
    task = Bargain().generate(np.random.default_rng(0), "test")
    episode = sotopia_env.rollout([task], [Attacker(policy, "longer", [task]), "scripted:firm"], num_episodes=1)[0]
    assert {(turn.type, turn.text) for turn in episode.own_turns("agent_0")} == {("action", "accept")}


@pytest.mark.parametrize("name", ["bargain", "divide", "mutual-friends"])
@pytest.mark.parametrize("attack", ["longer", "flattering", "leaking", "repeating"])
def test_words_are_added_behind_acts_and_leave_them(attack: str, name: str) -> None:
    tasks = draw_tasks(f"{name}:test?agreement=formal", 10, 0)
    alone = sotopia_env.rollout(tasks, ["scripted:firm", "scripted:warm"], num_episodes=10, seed=2)
    attacker = Attacker(make_policy("scripted:firm"), attack, tasks)
    episodes = sotopia_env.rollout(tasks, [attacker, "scripted:warm"], num_episodes=10, seed=2)
    assert [turn.invalid for episode in episodes for turn in episode.turns if turn.invalid] == []
    own = [turn for episode in episodes for turn in episode.own_turns("agent_0") if turn.type == "action"]
    offers = [turn for turn in own if turn.text.startswith("offer")]
    assert offers
    assert all(len(turn.text.split("\n")[1].split()) >= ADDED_WORDS for turn in offers)
    for before, after in zip(alone, episodes, strict=True):
        first, changed = before.turns[0], after.turns[0]
        assert first.type == changed.type
        if first.type == "action":
            assert first.text.split("\n")[0] == changed.text.split("\n")[0]


def test_a_template_stands_in_place_of_an_offer_and_no_answer_is_lost() -> None:
    tasks = draw_tasks("bargain:test?agreement=formal", 1, 0)
    for said, played in (("offer $40\nHow about $40?", "speak"), ("offer $40", "speak"), ("accept", "action")):
        policy = FunctionPolicy(lambda observation, rng, said=said: do(said), name="acts")
        attacker = Attacker(policy, "template", tasks)
        env = sotopia_env.parallel_env(tasks)
        observations, _ = env.reset(seed=0)
        action = attacker.act_one(observations["agent_0"])
        assert action.type == played
        assert ("offer" in action.text) is False


def test_an_unknown_attack_is_named() -> None:
    with pytest.raises(ValueError, match="unknown attack 'bribing'; one of longer"):
        Attacker(make_policy("scripted:firm"), "bribing", [])

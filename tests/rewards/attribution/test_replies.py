import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotopia_env import rollout
from sotopia_env.episodes import Turn
from sotopia_env.errors import RecordError
from sotopia_env.rewards import (
    Attribution,
    FunctionJudge,
    parse_attribution,
    parse_attributions,
    read_attributions,
    recorded_importances,
)
from sotopia_env.tasks import Character

DATA = os.environ.get("SOTOPIA_ENV_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="SOTOPIA_ENV_DATA names no folder of Sotopia's published files")
EPISODE = rollout("bargain", ["scripted:firm"], num_episodes=1, seed=0)[0]
PARAGRAPHS = "Here is the first of my paragraphs.\n\nAnd here is another one."


@pytest.fixture
def talk(make_episode):
    """Orla speaks at 0, 1, 3 and 5 (not in alternation), Zoé at 2 and 4."""
    episode = make_episode(
        "Hello.", "So, the boat.", "Which boat?", PARAGRAPHS, "I see.", None, seats=[0, 0, 1, 0, 1, 0]
    )
    people = (Character("c0", "Orla O'Dwyer"), Character("c1", "Zoé Brûlé"))
    return replace(episode, task=replace(episode.task, characters=people))


def reply(*values, name="Orla O'Dwyer", first=0):
    return json.dumps({f"Utterance {k} by {name}": value for k, value in enumerate(values, first)}, ensure_ascii=False)


def test_the_reply_that_was_asked_for(talk):
    parsed = parse_attribution(reply(0, 1, 3, 2), talk, "agent_0")
    assert (parsed.importances, parsed.repairs, parsed.failure) == ((0, 1, 3, 2), (), None)


def test_every_turn_in_which_something_was_done_is_placed_by_its_text_though_numbers_collide(talk):
    pairs = [("Hello.", 1), ("So, the boat.", 2), ("Which boat?", -1), (PARAGRAPHS, 3), ("I see.", -1)]
    names = [("Orla O'Dwyer", 0), ("Orla O'Dwyer ", 0), ("Zoé Brûlé", 1), ("Orla O'Dwyer", 1), ("Zoé Brûlé", 2)]
    content = {
        f"Utterance {k} by {name}": [f'{name} said: "{text}"', value]
        for (text, value), (name, k) in zip(pairs, names, strict=True)
    }
    parsed = parse_attribution(json.dumps(content), talk, "agent_0")
    assert parsed.importances == (1, 2, 3, None)
    assert parsed.failure is None


def test_a_text_cut_at_its_first_paragraph_is_recognised(talk):
    content = {"Utterance 2 by Orla O'Dwyer": [f"Orla O'Dwyer said: \"{PARAGRAPHS.split(chr(10))[0]}", 3]}
    assert parse_attribution(content, talk, "agent_0").importances == (None, None, 3, None)


def test_equal_texts_are_taken_in_their_order(make_episode):
    episode = make_episode("a", "b", "a", "b", "a")
    content = {f"Utterance {k} by Ada": ['Ada said: "a"', k] for k in range(3)}
    assert parse_attribution(content, episode, "agent_0").importances == (0, 1, 2)


@pytest.mark.parametrize(
    "name", ["Zoé Brûlé", "Zoe Brule", "ZOÉ BRÛLÉ", "Zoé", "Zoe\u0301 Bru\u0302le\u0301", "agent_1"]
)
def test_names_in_other_spellings(talk, name):
    assert parse_attribution(reply(1, 2, name=name), talk, "agent_1").importances == (1, 2)
    assert parse_attribution(reply(1, 2, name=name), talk, "agent_0").failure == "no entry grades a turn of this agent"


def graded(**by_name):
    """Importances of the agents' own turns, under the names that a reply gives them."""
    named = {name.replace("_", " "): values for name, values in by_name.items()}
    return json.dumps({f"Utterance {k} by {n}": v for n, values in named.items() for k, v in enumerate(values)})


def test_agents_that_are_counted_from_one_are_read_in_their_order(talk):
    for text in (graded(agent_1=[0, 1, 3, 2], agent_2=[1, 2]), graded(Agent_2=[1, 2], Agent_1=[0, 1, 3, 2])):
        parsed = parse_attribution(text, talk, "agent_0")
        assert (parsed.importances, parsed.repairs) == ((0, 1, 3, 2), ("agents are counted from 1",))
        assert parse_attribution(text, talk, "agent_1").importances == (1, 2)
    # Of the one who was asked about alone: agent_2 can only be the second.
    assert parse_attribution(graded(agent_2=[1, 2]), talk, "agent_1").importances == (1, 2)
    assert parse_attribution(graded(agent_0=[0, 1, 3, 2], agent_1=[1, 2]), talk, "agent_1").importances == (1, 2)


def test_agents_in_a_numbering_that_nobody_can_tell_are_unknown(make_episode):
    episode = make_episode("a", "b", "c", seats=[0, 1, 2])
    people = tuple(Character(f"c{i}", name) for i, name in enumerate(["Ada", "Bo", "Cy"]))
    episode = replace(episode, task=replace(episode.task, characters=people))
    parsed = parse_attribution(graded(agent_1=[1], agent_2=[2]), episode, "agent_1")
    assert parsed.importances == (None,)
    assert parsed.failure == "it numbers agents 1, 2: no telling which is which"


def test_a_typographic_apostrophe(talk):
    assert parse_attribution(reply(1, 0, 2, 3, name="Orla O’Dwyer"), talk, "agent_0").importances == (1, 0, 2, 3)


@pytest.mark.parametrize(
    "wrapped",
    [
        "```json\n{}\n```",
        "Here you are [as asked]: {}",
        "{}\nI gave [3] to the decisive one, {{sic}}.",
        "By {{k}} I mean the k-th: {}",
        '{{"attributions": {}}}',
    ],
)
def test_what_stands_around_the_object_is_left_aside(talk, wrapped):
    parsed = parse_attribution(wrapped.format(reply(0, 1, 3, 2)), talk, "agent_0")
    assert parsed.importances == (0, 1, 3, 2)
    assert parsed.failure is None


def test_fractions_stay_and_written_numbers_are_read(talk):
    parsed = parse_attribution(reply(0.5, "1.5", "2/3", "2 / 5"), talk, "agent_0")
    assert parsed.importances == (0.5, 1.5, 2, None)
    assert len(parsed.repairs) == 4  # three numbers as text, one of them on another scale


def test_counting_from_one_is_repaired(talk):
    parsed = parse_attribution(reply(0, 1, 3, 2, first=1), talk, "agent_0")
    assert parsed.importances == (0, 1, 3, 2)
    assert parsed.repairs == ("utterances are counted from 1",)


def test_a_list_of_the_right_length(talk):
    assert parse_attribution("[0, 1, 3, 2]", talk, "agent_0").importances == (0, 1, 3, 2)
    parsed = parse_attribution("[0, 1, 3]", talk, "agent_0")
    assert parsed.importances == (None,) * 4
    assert parsed.failure == "a list of 3 for 4 own turns: no telling which is which"


def test_too_few_entries_leave_the_others_unknown(talk):
    parsed = parse_attribution(reply(0, 1, 3), talk, "agent_0")
    assert parsed.importances == (0, 1, 3, None)
    assert parsed.failure is None


def test_too_many_entries_fail(talk):
    parsed = parse_attribution(reply(0, 1, 3, 2, 1), talk, "agent_0")
    assert parsed.importances == (None,) * 4
    assert "there are 4 own turns" in parsed.failure


@pytest.mark.parametrize("value", [None, True, "high", [], {}, 4, -2, 1e999, 10**400, float("nan"), "9" * 5000])
def test_a_value_that_is_no_importance_is_unknown(talk, value):
    parsed = parse_attribution(
        {"Utterance 0 by Orla O'Dwyer": 1, "Utterance 1 by Orla O'Dwyer": value}, talk, "agent_0"
    )
    assert parsed.importances == (1, None, None, None)
    assert parsed.repairs


def test_an_utterance_graded_twice(talk):
    key = "Utterance 0 by Orla O'Dwyer"
    assert parse_attribution(f'{{"{key}": 1, "{key}": 1}}', talk, "agent_0").importances[0] == 1
    parsed = parse_attribution(f'{{"{key}": 1, "{key}": 3}}', talk, "agent_0")
    assert parsed.importances[0] is None
    assert "graded twice" in parsed.repairs[0]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "I would rather not.",
        '{"Utterance 0 by Orla O\'Dwyer": 1, "Utterance 1 by Orl',
        '{"wrong": {"Utterance 0 by Orla O\'Dwyer": 1}, ',
        reply(1, 2, name="Somebody Else"),
        "{}",
        "{" * 100_000,
        '{"a":' * 100_000,
        "3",
    ],
)
def test_a_reply_of_no_use_is_a_typed_failure(talk, raw):
    parsed = parse_attribution(raw, talk, "agent_0")
    assert parsed.importances == (None,) * 4
    assert parsed.failure


def test_what_was_not_graded_is_unknown_unless_said_otherwise(talk):
    content = {f"Utterance {k} by Orla O'Dwyer": value for k, value in enumerate([-1, 2, -1])}
    assert parse_attribution(content, talk, "agent_0").importances == (None, 2, None, None)
    assert parse_attribution(content, talk, "agent_0", unrated="zero").importances == (0, 2, 0, 0)
    # A failure stays one.
    assert parse_attribution("no", talk, "agent_0", unrated="zero").importances == (None,) * 4


def test_an_agent_without_turns(make_episode):
    assert parse_attribution("{}", make_episode("a"), "agent_1").importances == ()


@given(raw=st.text(max_size=40) | st.builds(lambda *v: reply(*v), st.floats(), st.integers(), st.text(max_size=5)))
def test_no_text_makes_it_fail(raw):
    parsed = parse_attribution(raw, EPISODE, "agent_0")
    assert len(parsed.importances) == len(EPISODE.own_turns("agent_0"))
    assert all(value is None or 0 <= value <= 3 for value in parsed.importances)


def test_a_broken_line_is_named(talk, tmp_path):
    path = tmp_path / "attributions.jsonl"
    path.write_text('{"episode_id": "by-hand", "agent": "Nobody", "rewarded_utterances": {}}\n')
    with pytest.raises(RecordError, match="line 1.*'Nobody' takes no part"):
        read_attributions(path, [talk])
    path.write_text('\n{"episode_id": "by-hand"}\n')
    with pytest.raises(RecordError, match="line 2.*agent"):
        read_attributions(path, [talk])


@pytest.fixture(scope="module")
def published():
    from sotopia_env.published import load_published

    folder = Path(DATA) / "episodes"
    rows = [json.loads(line) for line in (folder / "llm_attributions.jsonl").read_text().splitlines()]
    return load_published(folder / "sotopia_v1_full.jsonl"), folder / "llm_attributions.jsonl", rows


@needs_data
def test_recorded_replies_stand_at_the_right_turns_and_none_is_lost(published):
    episodes, path, rows = published
    found = read_attributions(path, episodes)
    assert sum(len(by_agent) for by_agent in found.values()) == len(rows) == 16
    by_key = {episode.key: episode for episode in episodes}
    grades = 0
    for row in rows:
        episode = by_key[row["episode_id"]]
        names = [character.name for character in episode.task.characters]
        agent = episode.agents[names.index(row["agent"])]
        parsed = found[episode.key][agent]
        assert parsed.failure is None
        assert parsed.repairs == ()
        # The file lists what was done in the order played: an independent way to the same turns.
        acted = [turn for turn in episode.turns if turn.type != "none"]
        entries = list(row["rewarded_utterances"].items())
        assert len(acted) == len(entries)
        for turn, (key, (text, value)) in zip(acted, entries, strict=True):
            assert key.endswith(f" by {names[turn.seat]}")
            assert turn.text in text
            if turn.agent == agent:
                assert parsed.importances[turn.own_index] == (None if value == -1 else value)
                grades += value != -1
    assert grades == sum(
        value != -1 and key.endswith(f" by {row['agent']}")
        for row in rows
        for key, (_, value) in row["rewarded_utterances"].items()
    )


@needs_data
def test_recorded_replies_give_what_the_formulas_say(published):
    episodes, path, rows = published
    judge = FunctionJudge(
        lambda episode, agent: {"goal": episode.judgements[0].scores["goal"][episode.agents.index(agent)]}, "stored"
    )
    recorded = recorded_importances(read_attributions(path, episodes, unrated="zero"))

    def rewards(design):
        return Attribution(design, recorded, levels=10, judge=judge, scale="native")(episodes)

    scores = {(row["episode_id"], row["agent"]): row["score"] for row in rows}
    for episode, direct, scaled, singular in zip(
        episodes, rewards("direct"), rewards("scaled"), rewards("singular"), strict=True
    ):
        for character, agent in zip(episode.task.characters, episode.agents, strict=True):
            score, importances = scores[episode.key, character.name], recorded[episode.key][agent]
            assert direct[agent] == pytest.approx([a / 10 * score for a in importances])
            assert scaled[agent] == pytest.approx([a / sum(importances) * score for a in importances])
            assert sum(singular[agent]) == pytest.approx(score)
            assert [r > 0 for r in singular[agent]] == [a == max(importances) and score > 0 for a in importances]


@needs_data
def test_bare_numbers_without_texts_find_the_same_turns(published):
    episodes, path, rows = published
    found = read_attributions(path, episodes)
    by_key = {episode.key: episode for episode in episodes}
    for row in rows:
        episode = by_key[row["episode_id"]]
        agent = episode.agents[[c.name for c in episode.task.characters].index(row["agent"])]
        bare = json.dumps({key: value for key, (_, value) in row["rewarded_utterances"].items()})
        parsed = parse_attribution(f"```json\n{bare}\n```", episode, agent, levels=10)
        assert parsed.importances == found[episode.key][agent].importances


def test_a_turn_of_another_kind_is_recognised(make_episode):
    episode = make_episode("a", "b")
    turns = (Turn(0, 0, 0, "non-verbal communication", "nods"), Turn(0, 1, 1, "leave", ""))
    content = {
        "Utterance 0 by Ada": ["Ada: [non-verbal communication] nods", 2],
        "Utterance 1 by Ada": ["Ada: left the conversation", 1],
    }
    assert parse_attribution(content, replace(episode, turns=turns), "agent_0").importances == (2, 1)


BOTH = ("goal", "relationship")
PARTS = {
    "goal": json.loads(reply(0, 1, 3, 2, name="agent_0")),
    "relationship": json.loads(reply(3, 0, 0, 1, name="agent_0")),
}


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(PARTS),
        json.dumps({"Goal": PARTS["goal"], "RELATIONSHIP": PARTS["relationship"], "note": "none"}),
        f"Sure!\n```json\n{json.dumps({'importances': PARTS}, indent=2)}\n```\nDone.",
        json.dumps({key: {d: PARTS[d][key] for d in BOTH} for key in PARTS["goal"]}),
        json.dumps({d: list(values.values()) for d, values in PARTS.items()}),
    ],
)
def test_several_dimensions_in_one_reply(talk, raw):
    parsed = parse_attributions(raw, talk, "agent_0", BOTH)
    assert {d: one.importances for d, one in parsed.items()} == {"goal": (0, 1, 3, 2), "relationship": (3, 0, 0, 1)}
    assert [one.failure for one in parsed.values()] == [None, None]


def test_a_dimension_that_is_missing_or_there_twice_fails_alone(talk):
    parsed = parse_attributions(json.dumps({"goal": PARTS["goal"]}), talk, "agent_0", BOTH)
    assert parsed["goal"].importances == (0, 1, 3, 2)
    assert (parsed["relationship"].importances, parsed["relationship"].failure) == (
        (None,) * 4,
        "relationship is missing",
    )
    twice = f'{{"goal": {reply(0, 1, 3, 2)}, "Goal": {reply(3, 3, 3, 3)}}}'
    assert parse_attributions(twice, talk, "agent_0", ["goal"])["goal"].failure == "goal is there 2 times"


def test_a_single_dimension_may_go_without_its_name(talk):
    for raw in (reply(0, 1, 3, 2), "[0, 1, 3, 2]", json.dumps({"goal": PARTS["goal"]})):
        assert parse_attributions(raw, talk, "agent_0", ["goal"])["goal"].importances == (0, 1, 3, 2)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "no",
        "[1, 2]",
        reply(1, 2, 3, 0),
        '{"goal": {"Utterance 0 by agent_0": 1, ',
        '{"goal": 0, "relationship": 0}',
    ],
)
def test_several_dimensions_of_no_use_are_typed_failures(talk, raw):
    for one in parse_attributions(raw, talk, "agent_0", BOTH).values():
        assert one.importances == (None,) * 4
        assert one.failure


@given(raw=st.recursive(st.floats() | st.text(max_size=8) | st.none(), lambda v: st.lists(v) | st.dictionaries(
    st.sampled_from(["goal", "relationship", "Utterance 0 by agent_0", "x"]), v), max_leaves=12))  # fmt: skip
def test_no_structure_makes_several_dimensions_fail(raw):
    for one in parse_attributions(json.dumps(raw), EPISODE, "agent_0", BOTH).values():
        assert len(one.importances) == len(EPISODE.own_turns("agent_0"))
        assert all(value is None or 0 <= value <= 3 for value in one.importances)

"""Who sees what: Sotopia's table of relationships, in both styles of rendering and in observations."""

from __future__ import annotations

import pytest

import sotopia_env
from sotopia_env.rendering import news, prompt, render
from sotopia_env.tasks import RELATIONSHIPS, Character, Scenario, Task
from sotopia_env.views import View, view, visible_character

ADA = Character(
    id="ada-id",
    first_name="Ada",
    last_name="Stone",
    age=33,
    occupation="Glazier",
    gender="Woman",
    pronouns="She/her",
    public_info="Collects maps.",
    personality="Patient and dry.",
    values="Care",
    decision_making_style="Slow",
    secret="Owes money",
)
BO = Character(id="bo-id", first_name="Bo", last_name="Reed", secret="Wrote the letter")

FACTS = ("33", "lazier", "She/her", "Collects maps.")
MIND = ("Patient and dry.",)
SEEN = {
    "stranger": (),
    "know_by_name": (),
    "acquaintance": FACTS,
    "friend": FACTS + MIND,
    "romantic_relationship": FACTS + MIND,
    "family_member": FACTS + MIND,
}


def task(relationship: str) -> Task:
    scenario = Scenario("s", "They meet.", ("Win the bet.", "Lose nothing."), relationship, notes="Bo is right.")
    return Task("t", "sotopia", "1", "", scenario, (ADA, BO))


def seen_by_bo(relationship: str) -> tuple[View, list[str]]:
    env = sotopia_env.parallel_env([task(relationship)])
    observations, _ = env.reset(seed=0)
    env.step({"agent_0": "Hello."})
    known = env.unwrapped.view("agent_1")
    texts = [render(known), render(known, "sotopia"), prompt(known), observations["agent_1"]["partners"]]
    return known, texts


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_a_partner_is_seen_as_the_relationship_allows(relationship: str) -> None:
    _, texts = seen_by_bo(relationship)
    for text in texts:
        assert [fact for fact in FACTS + MIND if fact in text] == list(SEEN[relationship])
    for text in texts[:3]:
        assert "Wrote the letter" in text
        assert "Lose nothing." in text
        for hidden in ("Owes money", "Win the bet.", "Bo is right."):
            assert hidden not in text


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_a_view_holds_no_more_than_its_texts(relationship: str) -> None:
    known, _ = seen_by_bo(relationship)
    partner, own = known.characters
    assert own == BO
    assert partner == visible_character(ADA, relationship)
    assert (partner.secret, partner.name) == ("", "Ada Stone")
    assert bool(partner.age) == (relationship not in ("stranger", "know_by_name"))
    assert bool(partner.personality) == bool(partner.values) == (len(SEEN[relationship]) > len(FACTS))


def test_names_are_known_even_between_strangers() -> None:
    opening = {name: render(seen_by_bo(name)[0], "sotopia") for name in ("stranger", "know_by_name")}
    assert "Participants: Ada Stone and Bo Reed\nAda Stone's background: \n" in opening["stranger"]
    assert "Ada Stone's background: Ada Stone \n" in opening["know_by_name"]
    assert "Ada Stone's goal: Unknown\nBo Reed's goal: Lose nothing.\n" in opening["stranger"]


def test_the_sotopia_style_grows_by_one_text_a_turn() -> None:
    env = sotopia_env.parallel_env([task("friend")], max_cycles=4)
    env.reset(seed=0)
    texts = [news(env.unwrapped.view("agent_1"))]
    for act in ("Hello.", sotopia_env.gesture("nods"), None, sotopia_env.leave()):
        env.step({env.unwrapped.acting[0]: act})
        texts.append(news(env.unwrapped.view("agent_1")))
    assert texts[1:] == [
        'Turn #0: Ada Stone said: "Hello."\n',
        "Turn #1: Bo Reed [non-verbal communication] nods\n",
        "Turn #2: \n",
        "Turn #3: Bo Reed left the conversation\n",
    ]
    episode = env.unwrapped.episode
    assert render(view(episode, "agent_1"), "sotopia") == "\n".join(texts)
    assert render(view(episode, "agent_1", 2), "sotopia") == "\n".join(texts[:3])


def test_simultaneous_turns_stand_in_one_text() -> None:
    env = sotopia_env.parallel_env([task("friend")], action_order="simultaneous")
    env.reset(seed=0)
    env.step({"agent_0": "One.", "agent_1": "Two."})
    env.step({"agent_0": None, "agent_1": "Three."})
    known = env.unwrapped.view("agent_0")
    assert render(known, "sotopia").endswith(
        'Turn #0: Ada Stone said: "One.";Bo Reed said: "Two."\n\nTurn #1: Bo Reed said: "Three."\n'
    )
    assert "Turn #2 is yours" in prompt(known)


def test_an_unknown_style_is_refused() -> None:
    env = sotopia_env.parallel_env([task("friend")])
    env.reset(seed=0)
    with pytest.raises(ValueError, match="'chat' is none of native, sotopia"):
        sotopia_env.render(env.unwrapped.view("agent_0"), "chat")

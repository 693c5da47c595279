"""The server of ``play --web``: who is let in, what each seat sees, and what becomes of the games."""

from __future__ import annotations

import json
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sotopia_env
from sotopia_env.actions import NONE
from sotopia_env.rewards.judges.base import Judge
from sotopia_env.rollouts.manifest import manifest_path

SeatAt = Callable[..., Any]

server = pytest.importorskip("sotopia_env.cli.web.server", reason="the page of play --web needs sotopia-env[web]")


def test_nothing_is_told_without_the_token(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3)
    link = pages.at["agent_0"]
    token = link.rsplit("/", 2)[1]
    assert len(token) >= 32
    assert pages.client.get(link).status_code == 200
    for path in ("/", f"/{token[:-1]}/state", f"/{'x' * len(token)}/state", "/é/state", "//state"):
        answer = pages.client.get(path)
        assert answer.status_code in (403, 404)
        assert "goal" not in answer.text
    assert pages.client.post("/none/act", json={}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        ({"Host": "example.org:8000"}, "GET"),
        ({"Host": "localhost:8000"}, "GET"),
        ({"Host": "127.0.0.1:8001"}, "GET"),
        ({"Origin": "http://example.org"}, "GET"),
        ({"Origin": "null"}, "GET"),
        ({"Origin": "http://127.0.0.1:8001"}, "POST"),
        ({}, "POST"),
    ],
)
def test_other_hosts_and_other_pages_are_refused(seat_at: SeatAt, headers: dict[str, str], method: str) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3)
    what, body = ("state", None) if method == "GET" else ("act", {"move": "3-0/0", "kind": "none", "text": ""})
    del pages.client.headers["Origin"]
    answer = pages.client.request(method, f"{pages.at['agent_0']}{what}", headers=headers, json=body)
    assert answer.status_code == 403
    assert "goal" not in answer.text
    assert pages.state()["yours"]


def test_the_page_may_load_nothing_and_holds_nothing_of_the_game(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3)
    answer = pages.client.get(pages.at["agent_0"])
    allowed = answer.headers["content-security-policy"]
    assert allowed.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in allowed
    assert "http" not in allowed
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "http" not in answer.text
    assert ".innerHTML" not in answer.text
    assert pages.state()["cards"][0]["name"] not in answer.text


def test_what_is_no_request_of_the_page_is_refused_in_words(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3)
    move = pages.state()["move"]
    for body in ({}, {"move": move, "kind": "dance"}, {"move": move, "kind": "speak", "text": 1}, [], "x"):
        answer = pages.post("act", body)
        assert (answer.status_code, answer.text) == (400, "this is no request of the page\n")
    assert pages.post("act", {"move": move, "kind": "speak", "text": "x" * server.MAX_BODY}).status_code == 413
    assert pages.client.get(f"{pages.at['agent_0']}act").status_code == 405
    assert pages.state()["turns"] == []


def test_a_game_against_a_policy_is_the_episode_that_the_terminal_plays(seat_at: SeatAt, tmp_path: Path) -> None:
    lines = [("speak", "How about $120?"), ("accept", "")]
    pages = seat_at("bargain", "scripted:firm", seed=3, out=tmp_path / "page.jsonl")
    for kind, text in lines:
        assert pages.act(kind, text) is None
    ended = pages.state(until="over")
    said = iter([sotopia_env.speak("How about $120?"), sotopia_env.do("accept")])
    person = sotopia_env.agents.human.HumanPolicy(ask=lambda observations, contexts: [next(said) for _ in contexts])
    sotopia_env.rollout("bargain", [person, "scripted:firm"], num_episodes=1, seed=3, out=tmp_path / "other.jsonl")
    assert (tmp_path / "page.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()
    first, second = (json.loads(manifest_path(tmp_path / f"{name}.jsonl").read_text()) for name in ("page", "other"))
    assert first["run"] == second["run"]
    (episode,) = sotopia_env.load_episodes(tmp_path / "page.jsonl")
    (judgement,) = episode.judgements
    assert ended["end"]["how"].startswith("agreement by ")
    assert ended["end"]["scores"]["rows"][0][1:] == [f"{goal:.2f}" for goal in judgement.scores["goal"]]
    assert judgement.evidence["goal"][1][0] in [finding for *_, finding in ended["end"]["findings"]]
    assert [turn["text"] for turn in ended["turns"]] == [turn.text for turn in episode.turns]


def test_one_seat_never_sees_what_the_other_hides(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "human", seed=3)
    assert set(pages.at) == {"agent_0", "agent_1"}
    assert len(set(pages.at.values())) == 2
    (_, task) = seat_at("bargain", "scripted:firm", seed=3), sotopia_env.parallel_env("bargain")
    task.reset(seed=sotopia_env.seeds.episode_seed(3, 0))
    for kind, text, viewer in (("speak", "Hello.", "agent_0"), ("speak", "Hi.", "agent_1")):
        assert pages.act(kind, text, viewer) is None
    for seat, viewer in enumerate(pages.at):
        pages.state("agent_0", until="turn")
        told = json.dumps(pages.state(viewer), ensure_ascii=False)
        own, other = task.episode.task.characters[seat], task.episode.task.characters[1 - seat]
        assert own.secret in told
        assert other.secret not in told
        assert task.episode.task.scenario.goals[seat] in told
        assert task.episode.task.scenario.goals[1 - seat] not in told


def test_two_people_play_each_with_a_link_and_both_must_want_another(seat_at: SeatAt, tmp_path: Path) -> None:
    pages = seat_at("bargain", "human", seed=3, out=tmp_path / "e.jsonl")
    assert pages.act("speak", "I could pay $100.") is None
    waiting = pages.state("agent_0")
    assert not waiting["yours"]
    assert waiting["thinking"] == [waiting["names"]["agent_1"]]
    assert pages.state("agent_1", until="turn")["turns"][0]["text"] == "I could pay $100."
    assert pages.act("leave", viewer="agent_1") is None
    assert pages.state(until="over")["end"]["how"].endswith(" left")
    pages.post("again", {})
    assert pages.state()["ready"]
    assert pages.state("agent_1")["phase"] == "over"
    pages.post("again", {}, "agent_1")
    assert pages.state(until="turn")["key"] == "3-1"
    (episode,) = sotopia_env.load_episodes(tmp_path / "e.jsonl")
    assert episode.policies == {"agent_0": "human", "agent_1": "human"}


def test_people_who_act_at_the_same_time_decide_unseen(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "human", seed=3, action_order="simultaneous")
    assert pages.state("agent_0")["yours"]
    assert pages.state("agent_1")["yours"]
    assert pages.act("speak", "First.", "agent_1") is None
    assert pages.state("agent_0")["turns"] == []
    assert pages.act("speak", "Second.", "agent_0") is None
    shown = {viewer: [turn["text"] for turn in pages.state(viewer, until="turn")["turns"]] for viewer in pages.at}
    assert shown == {"agent_0": ["Second.", "First."], "agent_1": ["First.", "Second."]}


def test_what_would_be_invalid_is_told_before_it_is_sent(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3, agreement="formal")
    assert pages.state()["form"] == "$N"
    assert {"offer", "accept", "reject"} < set(pages.state()["acts"])
    for kind, text, problem in (
        ("speak", "  ", "nothing was written"),
        ("accept", "", "there is nothing to accept: nobody else has an offer on the table"),
        ("offer", "80 or 90", "'80 or 90' is no price"),
        ("do", "I accept and offer", "there is nothing to accept"),
        ("speak", "x" * 9000, "at most 8192 are allowed"),
    ):
        assert problem in pages.act(kind, text)
    assert pages.state()["turns"] == []
    assert pages.act("offer", "$80. Would that do?") is None
    shown = pages.state(until="turn")
    assert shown["offers"][0] == ["you", "$80"]
    assert shown["turns"][0]["text"] == "offer $80. Would that do?"


def test_a_turn_that_is_over_is_not_taken_for_the_next(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3)
    move = pages.state()["move"]
    assert pages.act("speak", "Hello.") is None
    pages.state(until="turn")
    answer = pages.post("act", {"move": move, "kind": "speak", "text": "Hello."})
    assert answer.json() == {"problem": "this turn is over"}


def test_own_turns_show_what_they_were_paid_and_nobody_elses(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", seed=3, reward="episode", max_cycles=4)
    assert pages.act("speak", "Hello.") is None
    assert pages.act("leave") is None
    shown = pages.state(until="over")
    assert shown["reward"] == "episode"
    paid = {turn["agent"]: turn["paid"] for turn in shown["turns"]}
    assert paid["agent_1"] is None
    assert isinstance(paid["agent_0"], float)


def test_games_follow_one_another_in_one_file_and_go_on_there(seat_at: SeatAt, tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    pages = seat_at("bargain", "scripted:firm", seed=3, out=out)
    assert pages.act("leave") is None
    first = pages.state(until="over")
    assert first["kept"] == str(out)
    pages.post("again", {})
    assert pages.state(until="turn")["cards"] != first["cards"]
    assert pages.act("leave") is None
    pages.state(until="over")
    pages.session.stop()
    assert [episode.key for episode in sotopia_env.load_episodes(out)] == ["3-0", "3-1"]
    again = seat_at("bargain", "scripted:firm", seed=3, out=out)
    assert again.state()["key"] == "3-2"


def test_a_game_that_is_broken_off_is_kept_beside_the_others(seat_at: SeatAt, tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    pages = seat_at("bargain", "scripted:firm", seed=3, out=out)
    assert pages.act("speak", "Hello.") is None
    pages.state(until="turn")
    pages.session.stop()
    assert not out.exists() or sotopia_env.load_episodes(out) == []
    assert pages.session.unfinished == tmp_path / "e.unfinished.jsonl"
    (episode,) = sotopia_env.load_episodes(pages.session.unfinished)
    assert (episode.key, episode.ending, len(episode.turns)) == ("3-0", None, 2)
    sessions = json.loads(manifest_path(out).read_text())["sessions"]
    assert sessions[-1]["outcome"] == "interrupted"


def test_two_policies_are_watched_turn_by_turn(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "scripted:firm", "scripted:warm", seed=5)
    assert list(pages.at) == ["watcher"]
    shown = pages.state("watcher")
    assert (shown["stepping"], shown["turns"], shown["you"]) == (True, [], None)
    assert [card["policy"] for card in shown["cards"]] == ["scripted:firm", "scripted:warm"]
    assert all("secret" in dict(card["parts"]) for card in shown["cards"])
    pages.post("step", {"to_the_end": False}, "watcher")
    while not (shown := pages.state("watcher"))["turns"]:
        pass
    assert len(shown["turns"]) == 1
    pages.post("step", {"to_the_end": True}, "watcher")
    assert pages.state("watcher", until="over")["end"]["scores"]["columns"][1:] == list(shown["names"].values())


def test_tasks_of_a_file_are_played_in_turn(seat_at: SeatAt, tmp_path: Path) -> None:
    family = sotopia_env.Bargain()
    rng = sotopia_env.seeds.generator_of(0)
    sotopia_env.published.save_tasks([family.generate(rng) for _ in range(3)], tmp_path / "t.json")
    tasks = sotopia_env.load_tasks(tmp_path / "t.json")
    pages = seat_at(str(tmp_path / "t.json"), "scripted:firm", seed=1)
    met = []
    for _ in tasks:
        met.append(pages.state(until="turn")["cards"][0]["name"])
        pages.act("leave")
        pages.state(until="over")
        pages.post("again", {})
    assert met == [tasks[place].characters[0].name for place in (1, 2, 0)]


def test_another_judge_gives_the_verdict_and_the_file_keeps_the_rules(seat_at: SeatAt, tmp_path: Path) -> None:
    class Strict(Judge):
        name = "strict"
        version = "1"

        def judge(self, episodes: Any) -> Any:
            scores = {"goal": [1.0, 2.0]}
            return [sotopia_env.Judgement("strict", "1", scores, {"goal": [["why"], []]}) for _ in episodes]

    pages = seat_at("mini", "scripted:warm", seed=0, out=tmp_path / "e.jsonl", session={"judge": Strict()})
    assert pages.act("leave") is None
    end = pages.state(until="over")["end"]
    assert end["scores"]["rows"] == [["goal", "1.00", "2.00"]]
    assert [finding for *_, finding in end["findings"]] == ["why"]
    (episode,) = sotopia_env.load_episodes(tmp_path / "e.jsonl")
    assert [judgement.judge for judgement in episode.judgements] == ["rule"]


def test_a_partner_that_fails_is_told_and_the_game_may_be_tried_again(seat_at: SeatAt, monkeypatch: Any) -> None:
    failing = threading.Event()
    failing.set()

    def partner(observation: Any, rng: Any) -> Any:
        if failing.is_set():
            raise ConnectionError("the server is gone")
        return NONE

    module = types.ModuleType("own_partner")
    module.partner = partner  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_partner", module)
    told: list[Exception] = []
    pages = seat_at("bargain", "own_partner:partner", seed=3, session={"on_error": told.append})
    assert pages.act("speak", "Hello.") is None
    assert "the server is gone" in pages.state(until="failed")["failed"]
    failing.clear()
    pages.post("again", {})
    assert pages.state(until="turn")["key"] == "3-0"
    assert pages.act("speak", "Hello.") is None
    assert len(pages.state(until="turn")["turns"]) == 2
    assert len(told) == 1


def test_what_others_say_is_told_as_text(seat_at: SeatAt) -> None:
    pages = seat_at("bargain", "human", seed=3)
    assert pages.act("speak", "<b>ten</b>\x07\u202e") is None
    assert pages.state("agent_1", until="turn")["turns"][0]["text"] == "<b>ten</b>\\x07\\u202e"


def test_a_port_that_is_taken_is_one_line() -> None:
    with server.listen(None) as taken:
        assert taken.getsockname()[0] == "127.0.0.1"
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"--port {port} is in use; give another one"):
            server.listen(port)

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sotopia_env
from sotopia_env import rendering, views
from sotopia_env.agents.embedded import build_embedded_model
from sotopia_env.agents.loading import LoadedModel, load_model
from sotopia_env.chat_encoding import ChatEncoder
from sotopia_env.episodes import Episode, Turn
from sotopia_env.rewards import (
    Progress,
    RewardModel,
    RewardModelReward,
    fit_normalizer,
    get_reward,
    relabel,
    trl_reward,
)
from sotopia_env.rewards.reward_model.heads import ValueHeads
from sotopia_env.rewards.reward_model.rows import value_row
from sotopia_env.rewards.reward_model.saved import DESCRIPTION, HEADS, Description, RewardModelError, save_reward_model
from sotopia_env.rewards.wrappers.base import paid_at_the_end
from sotopia_env.turns import cycles_of

LIMITS = {"goal": (0.0, 10.0), "relationship": (-5.0, 5.0)}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def play(policies: Any, number: int, **options: Any) -> list[Episode]:
    return sotopia_env.rollout("bargain", policies, num_episodes=number, seed=5, max_cycles=10, **options)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    """Dialogues with deals, endings by leaving and by the turn limit, and invalid turns."""
    played = [*play("scripted:mixed", 4), *play(["scripted:firm", "random"], 4), *play(["random", "erratic"], 4)]
    env = sotopia_env.parallel_env("bargain", reward=None, max_cycles=5)
    env.reset(seed=0)
    for action in ("hello", {"action_type": "shout"}, "[leave] now", None, "bye"):
        env.step({env.acting[0]: action})
    played.append(env.episode)
    assert any(turn.invalid for episode in played for turn in episode.turns)
    assert {"max_cycles"} < {episode.ending.reason for episode in played if episode.ending}
    return played


def random_heads(loaded: LoadedModel) -> ValueHeads:
    heads = ValueHeads(loaded.model, list(LIMITS))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight = torch.randn(heads.heads.weight.shape, generator=generator)
        heads.heads.weight.copy_(weight / heads.heads.in_features**0.5)
        heads.location.copy_(torch.tensor([5.0, 0.0]))
        heads.spread.copy_(torch.tensor([2.0, 1.0]))
    return heads.eval()


@pytest.fixture(scope="module")
def embedded(episodes: Sequence[Episode]) -> LoadedModel:
    texts = [turn.text for episode in episodes for turn in episode.turns] * 2
    model, tokenizer = build_embedded_model(texts, seed=0, hidden_size=32, layers=2, heads=2, context=1024)
    return LoadedModel(model, tokenizer, "embedded")


def save(loaded: LoadedModel, folder: Path, target: Any = "labels") -> Path:
    normalizers = {dimension: fit_normalizer("range", [], limits) for dimension, limits in LIMITS.items()}
    described = Description({"goal": 1.0, "relationship": 3.0}, target, normalizers, {}, "embedded")
    save_reward_model(folder, loaded, random_heads(loaded), described)
    return folder


@pytest.fixture(scope="module")
def folder(embedded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(embedded, tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def outcome_folder(embedded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(embedded, tmp_path_factory.mktemp("outcome"), "outcome")


@pytest.fixture(scope="module")
def episode_folder(embedded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(embedded, tmp_path_factory.mktemp("episode"), "episode")


@pytest.fixture(scope="module")
def model(folder: Path) -> RewardModel:
    return RewardModel(str(folder))


def prefixes(heads: ValueHeads, encoder: ChatEncoder, episode: Episode, agent: str) -> list[np.ndarray]:
    """Each own turn scored alone, from nothing but what the speaker had seen when it was over."""
    values = []
    cycles = cycles_of(episode.turns, episode.config["action_order"])
    for turn in episode.own_turns(agent):
        seen: list[Turn] = []
        for cycle in cycles:
            # Those who speak at the same time have not heard each other, then or when they look back.
            known = [t for t in cycle if cycle[-1].global_index < turn.global_index or t == turn]
            seen += sorted((t for t in known if views.sees(turn.seat, t)), key=lambda t: t.seat != turn.seat)
        chat = rendering.messages(
            {**views.static_observation(episode.task, turn.seat), "transcript": views.transcript(seen)}
        )
        encoded = encoder.encode(chat, add_generation_prompt=False)
        # Some templates write a line break behind the end of a turn.
        end = max(place for place, own in enumerate(encoded.own_mask) if own)
        values.append(heads.read([encoded.ids[: end + 1]], [[end]], 1)[0][0])
    return values


def check_one_pass(loaded: LoadedModel, episodes: Sequence[Episode], batch_size: int) -> int:
    encoder, heads = ChatEncoder(loaded.tokenizer), random_heads(loaded)
    wanted = [(e, agent) for e in episodes for agent in e.agents if e.own_turns(agent)]
    rows = [value_row(episode, agent, encoder) for episode, agent in wanted]
    read = heads.read([row.ids for row in rows], [row.after for row in rows], batch_size)
    for (episode, agent), values in zip(wanted, read, strict=True):
        np.testing.assert_allclose(values, np.stack(prefixes(heads, encoder, episode, agent)), atol=1e-4)
    return sum(map(len, read))


def test_one_pass_over_a_dialogue_equals_each_prefix_alone(embedded: LoadedModel, episodes: list[Episode]) -> None:
    # 25 rows of different length in batches of 7.
    assert check_one_pass(embedded, episodes, 7) > 60


def test_agents_that_act_at_the_same_time_are_read_as_they_spoke(embedded: LoadedModel) -> None:
    played = play("scripted:mixed", 2, action_order="simultaneous")
    encoder = ChatEncoder(embedded.tokenizer)
    # What agent_1 said in the first cycle does not depend on what agent_0 said in it.
    other = replace(played[0], turns=(replace(played[0].turns[0], text="Something else."), *played[0].turns[1:]))
    before, after = (value_row(episode, "agent_1", encoder) for episode in (played[0], other))
    assert before.after[0] == after.after[0]
    assert before.ids[: before.after[0] + 1] == after.ids[: after.after[0] + 1]
    assert before.ids != after.ids
    assert check_one_pass(embedded, played, 3) > 10


@pytest.mark.slow
def test_one_pass_equals_prefixes_with_a_published_model() -> None:
    directory = os.environ.get("SOTOPIA_ENV_SMOLLM2")
    if not directory:
        pytest.skip("SOTOPIA_ENV_SMOLLM2 names no directory with SmolLM2-135M-Instruct as GGUF")
    assert check_one_pass(load_model(directory, device="cpu"), play("scripted:mixed", 2), 4) > 10


def test_an_outcome_model_pays_by_how_much_its_prediction_changes(
    outcome_folder: Path, embedded: LoadedModel, episodes: list[Episode]
) -> None:
    model = RewardModel(str(outcome_folder))
    encoder, heads = ChatEncoder(embedded.tokenizer), random_heads(embedded)
    found = model.by_dimension(episodes)
    paid = model(episodes)
    for index, episode in enumerate(episodes):
        for agent in filter(episode.own_turns, episode.agents):
            row = value_row(episode, agent, encoder)
            (after,) = heads.read([row.ids], [row.after], 1)
            (before,) = heads.read([row.ids], [row.before], 1)
            change = after - before
            assert found["relationship"][index][agent] == pytest.approx(change[:, 1].tolist(), abs=1e-4)
            # Both native ranges are ten wide.
            expected = (change[:, 0] + 3 * change[:, 1]) / 4 / 10
            assert paid[index][agent] == pytest.approx(expected.tolist(), abs=1e-4)


def test_an_outcome_model_is_a_potential(
    folder: Path, outcome_folder: Path, embedded: LoadedModel, episodes: list[Episode]
) -> None:
    model = RewardModel(str(outcome_folder), {"goal": 1.0})
    encoder, heads = ChatEncoder(embedded.tokenizer), random_heads(embedded)
    for episode in episodes[:3]:
        states = [replace(episode, turns=episode.turns[:n], ending=None) for n in range(len(episode.turns) + 1)]
        values = model.values(states)
        for agent in episode.agents:
            row = value_row(episode, agent, encoder)
            before, after = (heads.read([row.ids], [places], 1)[0][:, 0] / 10 for places in (row.before, row.after))
            for turn in episode.own_turns(agent):
                assert values[turn.global_index][agent] == pytest.approx(before[turn.own_index], abs=1e-5)
                assert values[turn.global_index + 1][agent] == pytest.approx(after[turn.own_index], abs=1e-5)
    progress = Progress(model)
    assert (progress.name, progress.kind, progress.timing) == ("progress@reward-model", "return", "causal")
    assert get_reward(json.loads(json.dumps(progress.spec()))) == progress
    finished = relabel([episode for episode in episodes if episode.ending], progress)
    for episode, score in zip(finished, progress.outcome(finished), strict=True):
        paid = episode.rewards[progress.name]
        for agent in filter(episode.own_turns, episode.agents):
            first = episode.own_turns(agent)[0].global_index
            start = model.values([replace(episode, turns=episode.turns[:first], ending=None)])[0][agent]
            assert sum(paid[agent]) == pytest.approx(score[agent] - start, abs=1e-5)


def test_a_potential_needs_predicted_scores_on_the_unit_scale(
    folder: Path, outcome_folder: Path, episodes: list[Episode], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="predicts labels of turns and no scores"):
        RewardModel(str(folder)).values(episodes[:1])
    normalizers = {dimension: {"kind": "z-score", "origin": 5.0, "slope": 0.5} for dimension in LIMITS}
    other = RewardModel(str(damaged(outcome_folder, tmp_path, normalizers=normalizers)))
    with pytest.raises(ValueError, match="goal is normalised by 'z-score'"):
        other.values(episodes[:1])
    long = replace(episodes[0], turns=(replace(episodes[0].turns[0], text="word " * 1200),), ending=None)
    assert RewardModel(str(outcome_folder)).values([long]) == [{"agent_0": None, "agent_1": None}]


def test_dimensions_are_normalised_and_weighted(folder: Path, model: RewardModel, episodes: list[Episode]) -> None:
    assert (model.kind, model.timing) == ("credit", "causal")
    raw = model.by_dimension(episodes)
    only_goal = RewardModel(str(folder), {"goal": 2})(episodes)
    for index, paid in enumerate(model(episodes)):
        for agent, values in paid.items():
            goals, relations = raw["goal"][index][agent], raw["relationship"][index][agent]
            expected = [g / 10 / 4 + 3 * (r + 5) / 10 / 4 for g, r in zip(goals, relations, strict=True)]
            assert values == pytest.approx(expected)
            assert only_goal[index][agent] == pytest.approx([g / 10 for g in goals], abs=1e-6)


def whole_chat(episode: Episode, agent: str) -> list[Any]:
    return rendering.chat(views.view(episode, agent))


def test_a_model_of_episodes_reads_them_to_the_end_and_pays_the_last_turn(
    embedded: LoadedModel, episode_folder: Path, episodes: list[Episode]
) -> None:
    model = RewardModel(str(episode_folder), {"goal": 1.0})
    assert (model.kind, model.timing) == ("return", "hindsight")
    encoder, heads = ChatEncoder(embedded.tokenizer), random_heads(embedded)
    paid = model(episodes)
    told = model.by_dimension(episodes)["goal"]
    heard_last = 0
    for index, episode in enumerate(episodes):
        for agent in episode.agents:
            num_turns = len(episode.own_turns(agent))
            if episode.ending is None or not num_turns:
                assert paid[index][agent] == told[index][agent] == [None] * num_turns
                continue
            chat = whole_chat(episode, agent)
            ids = encoder.encode(chat, add_generation_prompt=chat[-1]["role"] != "assistant").ids
            score = float(heads.read([ids], [[len(ids) - 1]], 1)[0][0, 0])
            heard_last += episode.turns[-1].agent != agent
            assert paid[index][agent] == pytest.approx([0.0] * (num_turns - 1) + [score / 10], abs=1e-4)
            assert told[index][agent][-1] == pytest.approx(score, abs=1e-3)
            assert told[index][agent][:-1] == [None] * (num_turns - 1)
    assert heard_last
    assert get_reward(model.spec()) == pickle.loads(pickle.dumps(model)) == model  # noqa: S301 - made here
    with pytest.raises(ValueError, match="predicts scores of finished episodes alone; train it with target='outcome'"):
        model.values(episodes)


def test_a_model_of_episodes_pays_in_play_what_stored_episodes_get(
    episode_folder: Path, episodes: list[Episode]
) -> None:
    model = RewardModel(str(episode_folder))
    for episode in filter(lambda episode: episode.ending is not None, episodes):
        env = sotopia_env.parallel_env("bargain", reward=model, max_cycles=episode.config["max_cycles"])
        env.reset(seed=0, options={"task": episode.task})
        for turn in episode.turns:
            action = {"action_type": "shout"} if turn.invalid else {"action_type": turn.type, "argument": turn.text}
            _, rewards, _, _, infos = env.step({turn.agent: action})
            assert turn is episode.turns[-1] or not any(rewards.values())
        (stored,) = relabel([env.episode], model)
        chats = [whole_chat(env.episode, agent) for agent in episode.agents]
        for agent, numbers in stored.rewards[model.name].items():
            assert rewards[agent] == pytest.approx(sum(number or 0.0 for number in numbers), abs=1e-4)
            assert infos[agent]["utterance_rewards"] == pytest.approx(numbers, abs=1e-4)
        spoken = [i for i, agent in enumerate(episode.agents) if episode.own_turns(agent)]
        expected = [stored.rewards[model.name][episode.agents[i]][-1] for i in spoken]
        assert model.score_chats([chats[i] for i in spoken]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("learnt", ["labels", "outcome"])
def test_what_is_paid_in_play_is_what_stored_episodes_get(
    learnt: str, folder: Path, outcome_folder: Path, episodes: list[Episode]
) -> None:
    model = RewardModel(str(folder if learnt == "labels" else outcome_folder))
    for episode in episodes:
        env = sotopia_env.parallel_env("bargain", reward=model, max_cycles=episode.config["max_cycles"])
        env.reset(seed=0, options={"task": episode.task})
        own: dict[str, list[float]] = {agent: [] for agent in episode.agents}
        infos: Any = {}
        for turn in episode.turns:
            action = {"action_type": "shout"} if turn.invalid else {"action_type": turn.type, "argument": turn.text}
            _, rewards, _, _, infos = env.step({turn.agent: action})
            # Paid at the turn, to whoever took it.
            own[turn.agent].append(rewards[turn.agent])
            assert all(amount == 0 for agent, amount in rewards.items() if agent != turn.agent)
        (stored,) = relabel([env.episode], model)
        for agent in episode.agents:
            assert stored.rewards[model.name][agent] == pytest.approx(own[agent], abs=1e-4)
            assert infos[agent]["utterance_rewards"] == pytest.approx(own[agent], abs=1e-4)


def test_learners_get_the_same_numbers_from_one_pass_at_the_end(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    forward = ValueHeads.forward

    def counted(self: Any, **inputs: Any) -> Any:
        calls.append(len(inputs["input_ids"]))
        return forward(self, **inputs)

    monkeypatch.setattr(ValueHeads, "forward", counted)

    def run(late: bool) -> list[Episode]:
        envs = sotopia_env.parallel_env("bargain", reward=model + get_reward("episode"), max_cycles=6).fork(3)
        for seed, env in enumerate(envs):
            env.reset(seed=seed)

        def step_all() -> None:
            while live := [env for env in envs if env.agents]:
                env_actions = [{env.unwrapped.acting[0]: f"I say ${90 + len(env.episode.turns)}."} for env in live]
                type(envs[0]).step_many(live, env_actions)

        calls.clear()
        if late:
            with paid_at_the_end(envs):
                step_all()
        else:
            step_all()
        return [env.episode for env in envs]

    at_once = run(False)
    assert calls == [3] * 6
    at_the_end = run(True)
    assert calls == [6]
    for one, other in zip(at_once, at_the_end, strict=True):
        assert set(one.rewards) == set(other.rewards)
        for name in one.rewards:
            for agent in one.agents:
                assert one.rewards[name][agent] == pytest.approx(other.rewards[name][agent], abs=1e-4)


def test_turns_beyond_the_model_s_context_have_no_number(model: RewardModel) -> None:
    env = sotopia_env.parallel_env("bargain", reward=model, max_cycles=6)
    env.reset(seed=0)
    for text in ("hello", "hello", "word " * 1200, "hello", "again", "again"):
        _, rewards, _, _, infos = env.step({env.unwrapped.acting[0]: text})
    # agent_0 spoke too long in its second turn, and agent_1 had to read it.
    known = {agent: [value is not None for value in info["utterance_rewards"]] for agent, info in infos.items()}
    assert known == {"agent_0": [True, False, False], "agent_1": [True, False, False]}
    assert all(np.isnan(amount) for amount in rewards.values())
    for agent, values in model([env.episode])[0].items():
        assert values == pytest.approx(infos[agent]["utterance_rewards"], abs=1e-4)


def test_it_is_copied_and_written_down_by_its_path(model: RewardModel, folder: Path) -> None:
    assert copy.deepcopy(model) is model
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301 - pickled here
    assert len(pickle.dumps(model)) < 2_000
    assert get_reward(json.loads(json.dumps(model.spec()))) == model
    assert get_reward(f"model:{folder}") == model
    assert get_reward(f"10 * model:{folder} + length").name == "10 * reward-model + length"
    with pytest.raises(ValueError, match="model needs the folder"):
        get_reward("model:")


def test_every_face_can_be_wrapped(folder: Path) -> None:
    aec = RewardModelReward(sotopia_env.raw_env("bargain", reward=None), folder, dimensions={"goal": 1})
    aec.reset(seed=0)
    aec.step({"action_type": "speak", "argument": "Hello."})
    assert aec.rewards["agent_0"] != 0
    env = RewardModelReward(sotopia_env.parallel_env("bargain", reward="episode"), folder, on_failure="raise")
    assert env.reward == RewardModel(str(folder)) and env.on_failure == "raise"
    twin = env.fork(1)[0]
    assert twin.reward is env.reward
    copied = pickle.loads(pickle.dumps(env))  # noqa: S301 - pickled here
    copied.reset(seed=0)
    _, rewards, _, _, infos = copied.step({"agent_0": "Hello."})
    assert rewards["agent_0"] != 0 and infos["agent_0"]["reward_parts"] == {"reward-model": rewards["agent_0"]}


def damaged(folder: Path, tmp_path: Path, **changes: Any) -> Path:
    copied = tmp_path / "copy"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder, copied)
    record = json.loads((copied / DESCRIPTION).read_text())
    (copied / DESCRIPTION).write_text(json.dumps({**record, **changes}))
    return copied


def test_loading_it_with_anything_else_fails(folder: Path, embedded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(RewardModelError, match="is no reward model"):
        RewardModel(str(tmp_path))
    with pytest.raises(RewardModelError, match="format is 99, this package reads 1"):
        RewardModel(str(damaged(folder, tmp_path, format=99)))
    with pytest.raises(RewardModelError, match="is damaged"):
        RewardModel(str(damaged(folder, tmp_path, normalizers=None)))
    with pytest.raises(ValueError, match="no head for 'knowledge'; it knows goal, relationship"):
        RewardModel(str(folder), {"knowledge": 1})
    other = damaged(folder, tmp_path)
    with torch.no_grad():
        changed = load_model(other).model
        changed.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    changed.save_pretrained(other)
    with pytest.raises(RewardModelError, match="weights of its language model are not those"):
        RewardModel(str(other))
    other = damaged(folder, tmp_path)
    (other / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ '<|' + message['role'] + '|> ' + message['content'] + '<|end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|> ' }}{% endif %}"
    )
    with pytest.raises(RewardModelError, match="another rendering of dialogues"):
        RewardModel(str(other))
    other = damaged(folder, tmp_path)
    (other / HEADS).write_bytes(b"half")
    with pytest.raises(RewardModelError, match="does not fit"):
        RewardModel(str(other))


def test_no_file_of_it_is_a_pickle(folder: Path) -> None:
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".jinja", ".safetensors"}


def test_it_is_a_reward_function_of_trl(model: RewardModel, episodes: list[Episode]) -> None:
    reward_function = trl_reward(model)
    assert reward_function.__name__ == "reward-model"
    prompts, completions, expected = [], [], []
    for episode in episodes[:4]:
        chat = rendering.messages(views.view(episode, "agent_0").observation())
        own = [place for place, message in enumerate(chat) if message["role"] == "assistant"]
        for turn, place in enumerate(own):
            prompts.append(chat[:place])
            completions.append(chat[place : place + 1])
            expected.append(model([episode])[0]["agent_0"][turn])
    found = reward_function(prompts=prompts, completions=completions, completion_ids=None, trainer_state=None)
    assert found == pytest.approx(expected, abs=1e-4)
    with pytest.raises(TypeError, match="conversational prompts"):
        reward_function(prompts=["Hello"], completions=["Hi"])


def test_trl_s_trainer_is_paid_by_it(embedded: LoadedModel, model: RewardModel, tmp_path: Path) -> None:
    import trl
    from datasets import Dataset

    chats = [
        rendering.messages({**views.static_observation(e.task, 0), "transcript": "", "action_types": [1, 1]})
        for e in play("scripted:mixed", 2)
    ]
    args = trl.GRPOConfig(
        str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=4,
        max_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = trl.GRPOTrainer(
        copy.deepcopy(embedded.model),
        trl_reward(model),
        args=args,
        train_dataset=Dataset.from_dict({"prompt": chats}),
        processing_class=embedded.tokenizer,
    )
    trainer.train()
    logged = [line for line in trainer.state.log_history if "rewards/reward-model/mean" in line]
    assert len(logged) == 1 and np.isfinite(logged[0]["rewards/reward-model/mean"])


def test_a_model_whose_labels_an_earlier_version_described_is_loaded(
    folder: Path, model: RewardModel, episodes: list[Episode], tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    record = json.loads((old / DESCRIPTION).read_text())
    labels = {"type": "sotopia_env.rewards.attribution:Attribution", "design": "direct", "judge": "rule"}
    labels["attributor"] = {"attributor": "sotopia_env.rewards.attributors:RuleAttributor"}
    (old / DESCRIPTION).write_text(json.dumps({**record, "labels": {"goal": labels}}))
    spec = {"type": "sotopia_env.rewards.reward_model:RewardModel", "path": str(old)}
    again = get_reward(spec)
    assert isinstance(again, RewardModel)
    assert again(episodes[:2]) == model(episodes[:2])
    assert again.spec()["type"] == "sotopia_env.rewards:RewardModel"
    assert get_reward(again.saved.description.labels["goal"]) == get_reward("direct")

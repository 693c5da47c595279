"""Recipes are read whole, and refused with the place of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sotopia_env.training.quickstart_settings import Learning, Settings
from sotopia_env.training.recipes.schema import QuickstartRecipe, Recipe, read_recipe, recipe_names, recipe_text

SMALL = yaml.safe_load(recipe_text("small")[1])


def written(folder: Path, **sections: object) -> str:
    """The small recipe with other sections, as a file."""
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **sections}), encoding="utf-8")
    return str(path)


def test_every_shipped_recipe_is_read() -> None:
    assert recipe_names() == ["quickstart", "small", "sotopia-rl"]
    assert [type(read_recipe(name)) for name in recipe_names()] == [QuickstartRecipe, Recipe, Recipe]


def test_the_quickstarts_recipe_is_the_quickstart() -> None:
    found = read_recipe("quickstart")
    assert isinstance(found, QuickstartRecipe)
    assert found.settings == Settings(learning=Learning())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{taskz: 3}", "quickstart: there is no key 'taskz'; did you mean tasks"),
        ("{tasks: many}", "quickstart.tasks: 'many': input should be a valid integer"),
        ("{learning: {stepz: 3}}", "quickstart.learning: there is no key 'stepz'; did you mean steps"),
        ("{variant: none}", "variant: 'none' is none of paper, on-policy, outcome"),
        ("{label_episodes: 3}", "label_episodes: 3 is no multiple of label_group = 8"),
    ],
)
def test_settings_of_the_quickstart_are_checked_too(tmp_path: Path, given: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"quickstart: {given}", encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_recipe(str(path))


def test_the_papers_numbers_stand_in_its_recipe() -> None:
    """arXiv 2508.03905, appendix E, and TRL's defaults of then, where the published code sets nothing."""
    found = read_recipe("sotopia-rl")
    assert isinstance(found, Recipe)
    assert found.cloning.adapter is not None
    assert (found.cloning.adapter["r"], found.cloning.adapter["lora_alpha"]) == (8, 16)
    cloning, model, grpo = found.cloning.settings.given, found.reward_model.settings.given, found.grpo.settings.given
    assert (cloning["learning_rate"], cloning["per_device_train_batch_size"], cloning["max_steps"]) == (1e-4, 2, 500)
    assert (model["learning_rate"], model["num_train_epochs"], model["per_device_train_batch_size"]) == (4e-5, 60, 1)
    assert (grpo["learning_rate"], grpo["num_generations"], grpo["max_steps"]) == (5e-6, 16, 3000)
    assert (grpo["beta"], grpo["temperature"], grpo["max_turn_tokens"]) == (0.04, 0.9, 256)
    assert found.grpo.described_settings["rollouts"] == "single-turn"
    assert found.labels.dimensions == {"goal": 1.0, "relationship": 1.0, "knowledge": 1.0}
    assert found.stages == ["experts", "filtering", "cloning", "labels", "reward-model", "grpo", "evaluation"]


def test_every_line_with_a_number_of_the_papers_recipe_says_where_it_is_from() -> None:
    _, text = recipe_text("sotopia-rl")
    sections = text[text.index("play:") : text.index("prices:")]
    numbers = [line for line in sections.splitlines() if line.partition("#")[0].strip(" -").count(":") == 1]
    bare = [line for line in numbers if any(c.isdigit() for c in line.partition("#")[0]) and "#" not in line]
    # The same reason stands a line before, or at their section.
    assert {line.split(":")[0].strip() for line in bare} <= {"judge", "policy", "pairings", "scenarios"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cloningg": {}}, "there is no key 'cloningg'; did you mean cloning?"),
        ({"cloning": {"setings": {}}}, "cloning: there is no key 'setings'; did you mean settings?"),
        ({"cloning": {}}, "cloning.settings: this key is missing"),
        ({"play": {"max_cycles": "many"}}, "play.max_cycles: 'many': input should be a valid integer"),
        ({"play": {"max_cycles": 0}}, "play.max_cycles: 0: input should be greater than 0"),
        ({"labels": {"design": "derect"}}, "labels: design: 'derect' is none of "),
        ({"labels": {"dimensions": ["gaol"]}}, "labels: dimensions: there is no 'gaol'; did you mean goal?"),
        ({"experts": {"policy": "random"}}, "experts: policy and tasks belong together"),
        ({"experts": {}}, "experts: give either episodes, a file that is there, or the policy that plays them"),
        ({"self_play": None}, "labels.episodes is 'self-play', and there is no section self_play"),
        (
            {"labels": {"scale": "native"}, "reward_model": {"settings": {"per_device_train_batch_size": 1}}},
            "normalizer",
        ),
        (
            {"cloning": {"settings": {"per_device_train_batch_size": 2, "learning_rat": 1}}},
            "cloning.settings.learning_rat: CloningConfig has no setting of that name; did you mean learning_rate",
        ),
        (
            {"cloning": {"settings": {"per_device_train_batch_size": 2, "packing": True}}},
            "cloning.settings.packing: rows are prepared",
        ),
        (
            {"cloning": {"settings": {"per_device_train_batch_size": 2, "seed": 1}}},
            "cloning.settings.seed: the folder and the seed of the run say that",
        ),
        ({"grpo": {**SMALL["grpo"], "rollouts": "both"}}, "grpo.rollouts: 'both': input should be 'single-turn' or"),
        (
            {"evaluation": {"sets": [{"tasks": {"name": "bargain:test", "pairings": 2}}]}},
            "sets.0.tasks: pairings: that",
        ),
        ({"quickstart": {}}, "there is no key"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_remedy(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"mine\.yaml: ") as raised:
        read_recipe(written(tmp_path, **changed))
    assert said in str(raised.value)


def test_a_recipe_that_is_not_there_is_told_by_name() -> None:
    with pytest.raises(ValueError, match="'smal' is no recipe, and no file that ends in .yaml; did you mean small"):
        read_recipe("smal")
    with pytest.raises(
        ValueError, match=r"there is no recipe none\.yaml; sotopia-env recipe sotopia-rl --copy none.yaml"
    ):
        read_recipe("none.yaml")
    with pytest.raises(ValueError, match="--model: quickstart.yaml makes its own"):
        read_recipe("quickstart", model="m")


def test_options_take_the_place_of_the_files_keys(tmp_path: Path) -> None:
    found = read_recipe(written(tmp_path), model="other/Model-3B", judge="rule", seed=4)
    assert isinstance(found, Recipe)
    assert (found.model, found.judge, found.seed) == ("other/Model-3B", "rule", 4)


def test_parameters_that_were_told_of_another_model_are_dropped() -> None:
    own, other = read_recipe("sotopia-rl"), read_recipe("sotopia-rl", model="org/Other-3B")
    assert isinstance(own, Recipe)
    assert isinstance(other, Recipe)
    assert (own.estimates.parameters, other.estimates.parameters) == (7.6e9, None)

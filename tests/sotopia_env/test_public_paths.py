from __future__ import annotations

import importlib
from functools import partial

import pytest

import sotopia_env
from sotopia_env import rewards
from sotopia_env.names import PUBLIC_MODULES, NameTable, import_attribute, public_path


def test_an_attribute_is_imported_or_the_error_says_why() -> None:
    assert import_attribute("math:pi") > 3
    with pytest.raises(ValueError, match="is it on the Python path"):
        import_attribute("not.there:x")
    with pytest.raises(ValueError, match="module 'math' has no attribute 'tau2'"):
        import_attribute("math:tau2")
    with pytest.raises(ValueError, match="no module 'sotopia_env.nowhere'"):
        import_attribute("sotopia_env.nowhere:NoSuchThing")


def test_a_path_of_an_earlier_version_leads_to_what_is_public_now() -> None:
    assert import_attribute("sotopia_env.rewards.llm_judge:LLMJudge") is rewards.LLMJudge
    # The module is a folder today, and this class stands elsewhere.
    assert import_attribute("sotopia_env.rewards.reward_model:RewardModelReward") is rewards.RewardModelReward
    assert NameTable({"judge": "sotopia_env.rewards:RuleJudge"})["judge"] is rewards.RuleJudge


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_what_is_exported_is_called_by_the_module_that_exports_it(module: str) -> None:
    public = importlib.import_module(module)
    classes = [name for name in public.__all__ if isinstance(getattr(public, name), type)]
    assert classes
    for name in classes:
        path = public_path(getattr(public, name))
        assert path == f"{module}:{name}"
        assert import_attribute(path) is getattr(public, name)


def test_what_cannot_be_imported_again_has_no_path() -> None:
    def local() -> None:
        """Stands in no module."""

    for value in (local, lambda: None, partial(len), rewards.RuleJudge().judge, sotopia_env.speak("a")):
        assert public_path(value) is None
    assert public_path(len) == "builtins:len"


@pytest.mark.parametrize("package", ["sotopia_env", "sotopia_env.families", "sotopia_env.published"])
def test_a_package_gives_all_it_exports(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is getattr(module, name)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module(f"{package}.nonsense")


def test_a_table_names_what_it_holds_without_importing_it() -> None:
    table = NameTable({"here": "math:floor", "nowhere": "no_such_module:thing"})
    assert "nowhere" in table
    assert "elsewhere" not in table
    assert list(table) == ["here", "nowhere"]
    assert len(table) == 2
    assert table["here"](1.5) == 1
    with pytest.raises(ValueError, match="no module 'no_such_module'"):
        table["nowhere"]
    with pytest.raises(KeyError):
        table["elsewhere"]

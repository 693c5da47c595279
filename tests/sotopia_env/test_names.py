from __future__ import annotations

import importlib

import pytest

from sotopia_env.names import Table


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
    table = Table({"here": "math:floor", "nowhere": "no_such_module:thing"})
    assert "nowhere" in table
    assert "elsewhere" not in table
    assert list(table) == ["here", "nowhere"]
    assert len(table) == 2
    assert table["here"](1.5) == 1
    with pytest.raises(ValueError, match="no module 'no_such_module'"):
        table["nowhere"]
    with pytest.raises(KeyError):
        table["elsewhere"]

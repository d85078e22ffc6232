from __future__ import annotations

import pytest

from langchain_llmops._lazy import lazy_names, require
from langchain_llmops.errors import ConfigurationError, LLMOpsError, MissingExtraError


def test_a_missing_extra_names_the_command_that_installs_it():
    with pytest.raises(MissingExtraError) as caught:
        require("no_such_module_anywhere.deep", feature="RedisTier", extra="redis")
    assert str(caught.value) == (
        'RedisTier needs an optional dependency: pip install "langchain-llmops[redis]"'
    )
    assert isinstance(caught.value, ImportError | ConfigurationError | LLMOpsError)
    assert (caught.value.feature, caught.value.extra) == ("RedisTier", "redis")


def test_an_installed_module_that_misses_one_of_its_own_is_not_called_an_extra(
    tmp_path, monkeypatch
):
    (tmp_path / "half_installed.py").write_text("import its_absent_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as caught:
        require("half_installed", feature="x", extra="y")
    assert not isinstance(caught.value, MissingExtraError)


def test_require_returns_the_module():
    assert require("json", feature="x", extra="y").loads("1") == 1


def test_lazy_names_load_once_and_list_themselves():
    getattr_, dir_ = lazy_names(
        "langchain_llmops", {"JSONDecoder": "json"}, folders=["errors"]
    )
    assert getattr_("JSONDecoder").__module__ == "json.decoder"
    assert getattr_("errors").LLMOpsError is LLMOpsError
    assert {"JSONDecoder", "errors"} <= set(dir_())
    with pytest.raises(AttributeError, match="'langchain_llmops'"):
        getattr_("nothing")

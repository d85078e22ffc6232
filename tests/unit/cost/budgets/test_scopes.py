"""Scopes: who shares a budget is decided by values, not by how they are spelled."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_llmops.cost.budgets.scopes import Scope
from langchain_llmops.errors import ConfigurationError


def test_a_template_is_filled_from_metadata():
    scope = Scope("tenant:{tenant}:user:{user}")
    assert scope.of({"tenant": "acme", "user": "ann@acme.com", "x": 1}) == (
        "tenant:acme:user:ann@acme.com",
        [],
    )


def test_a_scope_without_names_is_one_budget_for_all():
    assert Scope("all").of({"tenant": "acme"}) == Scope("all").of(None) == ("all", [])


@pytest.mark.parametrize(("value", "shown"), [(7, "7"), (0, "0"), (UUID(int=1),) * 2])
def test_ids_need_not_be_texts(value, shown):
    assert Scope("{tenant}").of({"tenant": value}) == (str(shown), [])


@pytest.mark.parametrize("value", [None, "", ["acme"], {}])
def test_a_value_that_is_missing_or_no_name_is_unknown(value):
    assert Scope("t:{tenant}").of({"tenant": value}) == ("t:(unknown)", ["tenant"])


def test_nobody_can_pass_for_unknown():
    assert Scope("{tenant}").of({"tenant": "(unknown)"})[0] != "(unknown)"


VALUES = st.text(min_size=1, max_size=300)


@given(VALUES, VALUES, VALUES, VALUES)
@example("a:user:b", "c", "a", "b:user:c")
@example("a" * 250, "b", "a" * 251, "b")
@example("%3A", "b", ":", "b")
def test_only_equal_values_share(tenant, user, other_tenant, other_user):
    scope = Scope("tenant:{tenant}:user:{user}")
    one, _ = scope.of({"tenant": tenant, "user": user})
    other, _ = scope.of({"tenant": other_tenant, "user": other_user})
    assert (one == other) == ((tenant, user) == (other_tenant, other_user))
    assert one.isprintable()
    assert len(one) < 3_000


@pytest.mark.parametrize(
    "template",
    ["", None, "t:{tenant", "{}", "{a}{b}", "{a}x{b}", "{a!r}", "{a:>9}", "{a.b}"],
)
def test_a_template_that_cannot_tell_tenants_apart_is_refused(template):
    with pytest.raises(ConfigurationError, match="scope="):
        Scope(template)

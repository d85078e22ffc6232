"""What changes: found by content, not by time; told before anything happens."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.fingerprints import fingerprint


def kinds(changes):
    with changes:
        return {change.id: change.kind for change in changes}


def test_the_first_plan_has_everything_new_and_changes_nothing(build, store, documents):
    kb = build({"eu": store})
    changes = kb.plan(documents(a="1", b="2"))
    assert (changes.new, changes.unchanged, changes.base) == (2, 0, 0)
    assert kb.status().version == 0
    assert not len(store)


def test_each_kind_of_change_is_told_apart(build, store):
    kb = build({"eu": store})
    old = [Document(f"page {n}", id=f"{n}", metadata={"v": 1}) for n in range(8)]
    kb.apply(kb.plan(old))
    new = [
        *old[:4],
        Document("page 4", id="4", metadata={"v": 2}),
        Document("other", id="5", metadata={"v": 1}),
        Document("page 8", id="8", metadata={"v": 1}),
    ]
    changes = kb.plan(iter(new))
    assert kinds(changes) == {
        "4": "metadata",
        "5": "content",
        "8": "new",
        "6": "deleted",
        "7": "deleted",
    }
    assert (changes.unchanged, changes.deleted, changes.known) == (4, 2, 8)
    assert "4 unchanged" in str(changes)


def test_volatile_metadata_do_not_count(build, store):
    kb = build({"eu": store}, volatile_metadata=["loaded_at"])
    kb.apply(kb.plan([Document("a", id="a", metadata={"loaded_at": 1, "x": 1})]))
    same = kb.plan([Document("a", id="a", metadata={"loaded_at": 2, "x": 1})])
    other = kb.plan([Document("a", id="a", metadata={"loaded_at": 2, "x": 2})])
    assert (same.changed, other.metadata) == (0, 1)


def test_documents_without_ids_are_known_by_what_they_say(build, store, texts):
    kb = build({"eu": store})
    page = [Document("a"), Document("b"), Document("a")]
    report = kb.apply(changes := kb.plan(page))
    assert (report.written, changes.repeated) == (2, 1)
    again = kb.plan([*page, Document("c")])
    assert (again.unchanged, again.new, again.deleted, again.repeated) == (2, 1, 0, 1)
    assert sorted(texts(kb.reader("eu")).values()) == ["a", "b"]


def test_a_repeated_id_is_refused_wherever_it_stands(build, store, documents):
    kb = build({"eu": store})
    many = documents(a="1", b="2", c="3", d="4", e="5")
    for source in (
        [many[0], many[0]],
        [*many, many[0]],
        [*many, Document("other", id="a")],
    ):
        with pytest.raises(ConfigurationError, match="'a' occurs twice"):
            kb.plan(source)
    kb.apply(kb.plan(many))
    with pytest.raises(ConfigurationError, match="'a' occurs twice"):
        kb.plan([*many, Document("other", id="a")])


@pytest.mark.parametrize("page", ["", "  \n"])
def test_a_document_without_content_is_refused(build, store, page):
    with pytest.raises(ConfigurationError, match=r"'a'.*has no content"):
        build({"eu": store}).plan([Document(page, id="a")])


def test_metadata_that_no_manifest_can_keep_are_refused(build, store):
    when = {"at": datetime.now(UTC)}
    with pytest.raises(ConfigurationError, match="'a' are not JSON"):
        build({"eu": store}).plan([Document("a", id="a", metadata=when)])


def test_a_region_that_does_not_exist_is_refused(build, store, documents):
    kb = build({"eu": store}, regions=lambda _: {"us"})
    with pytest.raises(ConfigurationError, match=r"'a' into \['us'\]"):
        kb.plan(documents(a="1"))


def test_what_is_to_be_rewritten_counts_as_changed(build, store, documents):
    kb = build({"eu": store})
    kb.apply(kb.plan(documents(a="1", b="2")))
    assert kinds(kb.plan(documents(a="1", b="2"), rewrite=["b"])) == {"b": "content"}


async def test_a_source_may_be_asynchronous(build, store, documents):
    kb = build({"eu": store})

    async def load():
        for document in documents(a="1", b="2", c="3", d="4"):
            yield document

    changes = await kb.aplan(load())
    assert changes.new == 4
    assert (await kb.aapply(changes)).version == 1
    assert (await kb.aplan(documents(a="1", b="2", c="3", d="5"))).content == 1


async def test_a_source_that_fails_is_the_callers_error(build, store):
    async def load():
        yield Document("a", id="a")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await build({"eu": store}).aplan(load())


metadata = st.dictionaries(
    st.text(max_size=5),
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=3),
    max_size=3,
)


@given(page=st.text(min_size=1), meta=metadata)
def test_equal_documents_have_equal_fingerprints_whatever_the_order(page, meta):
    turned = dict(reversed(meta.items()))
    one, other = (Document(page, metadata=m) for m in (meta, turned))
    assert fingerprint(one, frozenset()) == fingerprint(other, frozenset())


@given(page=st.text(), meta=metadata, key=st.text(), value=st.integers())
def test_a_volatile_key_never_counts_and_another_always_does(page, meta, key, value):
    plain = {k: v for k, v in meta.items() if k != key}
    one = Document(page, metadata=plain)
    other = Document(page, metadata={**plain, key: value})
    volatile = frozenset([key])
    assert fingerprint(one, volatile) == fingerprint(other, volatile)
    assert fingerprint(one, frozenset()) != fingerprint(other, frozenset())

"""Loading documents: whole or with every unreadable file told; splitting them."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_llmops.cli.demo.documents import load_folder, load_reference, split
from langchain_llmops.errors import ConfigurationError

SHARED = (
    "This very paragraph stands in several documents, word for word, as it does. " * 2
)


def document(topic, text):
    return Document(text, id=topic, metadata={"topic": topic})


def test_the_reference_is_the_one_that_python_carries():
    found = {one.id: one for one in load_reference()}
    assert len(found) > 70
    assert 'The "nonlocal" statement' in found["nonlocal"].page_content


def test_a_folder_is_read_at_any_depth_without_hidden_and_foreign_files(tmp_path):
    for name in ("b.md", "a/c.PY", ".git/d.md", "e.png", ".f.txt", "empty.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("" if name == "empty.txt" else f"text of {name}")
    found = load_folder(tmp_path)
    assert [one.metadata["topic"] for one in found] == ["a/c.PY", "b.md"]
    assert found[1].page_content == "text of b.md"


def test_unreadable_documents_are_counted_and_named(tmp_path, monkeypatch):
    (tmp_path / "good.md").write_text("fine")
    for number in range(4):
        (tmp_path / f"bad{number}.md").write_bytes(b"caf\xe9")
    read = Path.read_text

    def locked(self, *args, **kwargs):
        if self.name == "bad0.md":
            raise PermissionError(13, "Permission denied")
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", locked)
    with pytest.raises(ConfigurationError) as caught:
        load_folder(tmp_path)
    told = str(caught.value)
    assert "cannot read 4 of the documents" in told
    assert "bad0.md (Permission denied), bad1.md (not UTF-8 at byte 3)" in told
    assert "and 1 more" in told
    assert "\n" not in told


def test_a_folder_without_documents_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="is not a folder"):
        load_folder(tmp_path / "none")
    (tmp_path / "blank.md").write_text("  \n")
    with pytest.raises(ConfigurationError, match="holds no text"):
        load_folder(tmp_path)


def test_a_shared_paragraph_is_kept_once_in_the_shortest_document():
    long = document("long", f"{SHARED}\n\nOnly here. {'More of it. ' * 20}")
    short = document("short", f"Head.\n\n{SHARED}")
    chunks = split([long, short])
    holding = [
        one.metadata["topic"] for one in chunks if "word for word" in one.page_content
    ]
    assert holding == ["short"]


def test_short_lines_may_repeat():
    chunks = split(
        [document("a", "import os\n\nx = 1"), document("b", "import os\n\ny = 2")]
    )
    assert all("import os" in one.page_content for one in chunks)


def test_chunks_are_short_and_their_ids_sort_in_reading_order():
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 40 for n in range(60))
    chunks = split([document("book", text)], chunk_characters=500)
    assert max(len(one.page_content) for one in chunks) <= 500
    assert len(chunks) > 10
    assert sorted(chunks, key=lambda one: one.id) == chunks
    assert "".join(one.page_content for one in chunks).count("word") == 60 * 40

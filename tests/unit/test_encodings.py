"""Rank files: where they are looked for, what is refused, how they are fetched."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import subprocess
import sys
import threading
import urllib.error
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiktoken
from tiktoken_ext import openai_public

from langchain_llmops import _encodings
from langchain_llmops._encodings import CURRENT, ENCODINGS, Spec, encoding, fetch, find
from langchain_llmops.errors import ConfigurationError

DATA = b"\n".join(base64.b64encode(bytes([n])) + b" %d" % n for n in range(256))
TINY = Spec(
    ranks="tiny", sha256=hashlib.sha256(DATA).hexdigest(), pattern=r".", special={}
)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """A machine without any rank file, and a small encoding to look for."""
    monkeypatch.setitem(ENCODINGS, "tiny", TINY)
    monkeypatch.setattr(_encodings, "_loaded", {})
    monkeypatch.setattr(_encodings, "RANKS", tmp_path / "ranks")
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(_encodings.tempfile, "gettempdir", lambda: str(tmp_path / "t"))
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)


def put(folder: Path, data: bytes = DATA) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TINY.file_name
    path.write_bytes(data)
    return path


def places(tmp_path, monkeypatch) -> list[Path]:
    """Every folder that is looked into, the first first."""
    package = tmp_path / "site" / "litellm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    namespace = tmp_path / "site" / "llama_index"
    namespace.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "a"))
    monkeypatch.setenv("DATA_GYM_CACHE_DIR", str(tmp_path / "b"))
    return [
        tmp_path / "a",
        tmp_path / "b",
        tmp_path / "t" / "data-gym-cache",
        tmp_path / "ranks",
        namespace / "core" / "_static" / "tiktoken_cache",
        package / "litellm_core_utils" / "tokenizers",
    ]


def test_the_first_folder_that_has_the_file_wins(tmp_path, monkeypatch):
    for folder in reversed(places(tmp_path, monkeypatch)):
        path = put(folder)
        assert find("tiny") == path


def test_a_damaged_file_is_passed_over_and_left_alone(tmp_path, monkeypatch, caplog):
    folders = places(tmp_path, monkeypatch)
    damaged = put(folders[0], DATA[:-1])
    good = put(folders[-1])
    with caplog.at_level(logging.WARNING):
        assert find("tiny") == good
    assert damaged.read_bytes() == DATA[:-1]
    assert [str(damaged) in record.message for record in caplog.records] == [True]


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path, monkeypatch):
    folders = places(tmp_path, monkeypatch)
    (folders[0] / TINY.file_name).mkdir(parents=True)
    assert find("tiny") is None
    assert find("tiny", environ={}) is None


def test_a_damaged_file_is_logged_once_however_often_tokens_are_counted(
    tmp_path, monkeypatch, caplog
):
    put(places(tmp_path, monkeypatch)[0], b"damaged")
    with caplog.at_level(logging.WARNING):
        assert [encoding("tiny") for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1


def test_an_encoding_is_built_from_its_file(tmp_path):
    put(tmp_path / "ranks")
    built = encoding("tiny")
    assert built is not None
    assert built.encode_ordinary("hé") == list("hé".encode())


def test_an_unknown_encoding_is_none():
    assert encoding("klingon_base") is None
    assert find("klingon_base") is None


def test_threads_load_a_file_once(tmp_path, monkeypatch):
    put(tmp_path / "ranks")
    reads, results = [], []
    read = _encodings._read
    monkeypatch.setattr(
        _encodings, "_read", lambda *given: (reads.append(1), read(*given))[1]
    )
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        results.append(encoding("tiny"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1
    assert len({id(result) for result in results}) == 1


@pytest.mark.parametrize("name", sorted(set(ENCODINGS) - {"tiny"}))
def test_definitions_are_tiktokens_own(name, monkeypatch):
    asked = []
    monkeypatch.setattr(
        openai_public,
        "load_tiktoken_bpe",
        lambda url, expected_hash: asked.append((url, expected_hash)),
    )
    theirs = openai_public.ENCODING_CONSTRUCTORS[name]()
    ours = ENCODINGS[name]
    assert asked == [(ours.url, ours.sha256)]
    assert theirs["pat_str"] == ours.pattern
    assert theirs["special_tokens"] == ours.special


def test_the_file_name_is_tiktokens_cache_key():
    assert [ENCODINGS[name].file_name for name in CURRENT] == [
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    ]


def unreachable(*_, **__):
    raise urllib.error.URLError("no route")


class TestFetch:
    def test_copies_what_this_machine_has(self, tmp_path):
        put(tmp_path / "ranks")
        (target,) = fetch(tmp_path / "new", names=["tiny"], allow_download=False)
        assert target.read_bytes() == DATA
        assert [path.name for path in (tmp_path / "new").iterdir()] == [TINY.file_name]

    def test_does_nothing_when_all_is_there(self, tmp_path):
        path = put(tmp_path / "new")
        before = path.stat()
        assert fetch(tmp_path / "new", names=["tiny"]) == []
        assert path.stat() == before

    def test_replaces_a_damaged_file(self, tmp_path, monkeypatch):
        path = put(tmp_path / "new", b"damaged")
        monkeypatch.setattr(_encodings, "_from_address", lambda spec: DATA)
        assert fetch(tmp_path / "new", names=["tiny"]) == [path]
        assert path.read_bytes() == DATA

    def test_asks_tiktokens_own_address_first(self, tmp_path, monkeypatch):
        asked = []

        def urlopen(url, timeout):
            asked.append((url, timeout))
            return io.BytesIO(DATA)

        monkeypatch.setattr(_encodings.urllib.request, "urlopen", urlopen)
        assert len(fetch(tmp_path / "new", names=["tiny"])) == 1
        assert asked == [(TINY.url, 5.0)]

    def test_takes_the_file_out_of_a_wheel_where_the_address_is_out_of_reach(
        self, tmp_path, monkeypatch
    ):
        def run(command, **_):
            folder = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(folder / "core.whl", "w") as wheel:
                inside = "llama_index/core/_static/tiktoken_cache/" + TINY.file_name
                wheel.writestr(inside, DATA)
            assert "--no-deps" in command
            return SimpleNamespace(returncode=0, stderr="")

        monkeypatch.setattr(_encodings.urllib.request, "urlopen", unreachable)
        monkeypatch.setattr(_encodings.subprocess, "run", run)
        (target,) = fetch(tmp_path / "new", names=["tiny"])
        assert target.read_bytes() == DATA

    def test_makes_an_encoding_that_was_missed_available(self, tmp_path):
        assert encoding("tiny") is None
        put(tmp_path / "t" / "data-gym-cache")
        fetch(tmp_path / "ranks", names=["tiny"])
        assert encoding("tiny") is not None

    @pytest.mark.parametrize("data", [b"", b"another file"])
    def test_refuses_what_has_another_hash(self, tmp_path, monkeypatch, data):
        monkeypatch.setattr(_encodings, "_from_address", lambda spec: data)
        monkeypatch.setattr(_encodings, "_from_wheel", lambda folder, spec: data)
        with pytest.raises(ConfigurationError, match="SHA-256 differs"):
            fetch(tmp_path / "new", names=["tiny"])
        assert not (tmp_path / "new").exists()

    def test_says_what_to_do_when_nothing_works(self, tmp_path, monkeypatch):
        failed = SimpleNamespace(returncode=1, stderr="ERROR: no index\n")
        monkeypatch.setattr(_encodings.urllib.request, "urlopen", unreachable)
        monkeypatch.setattr(_encodings.subprocess, "run", lambda *a, **k: failed)
        with pytest.raises(ConfigurationError) as caught:
            fetch(tmp_path / "new", names=["tiny"])
        message = str(caught.value)
        assert "no route" in message
        assert "no index" in message
        assert TINY.url in message
        assert message.endswith("set TIKTOKEN_CACHE_DIR to that folder")

    def test_without_leave_uses_no_network(self, tmp_path, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("the network was used")

        monkeypatch.setattr(_encodings.urllib.request, "urlopen", refuse)
        monkeypatch.setattr(_encodings.subprocess, "run", refuse)
        with pytest.raises(ConfigurationError, match="not on this machine"):
            fetch(tmp_path / "new", names=["tiny"], allow_download=False)

    def test_a_folder_that_cannot_be_written_is_one_clear_error(self, tmp_path):
        put(tmp_path / "ranks")
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(ConfigurationError, match="make its folder writable"):
            fetch(tmp_path / "file", names=["tiny"])

    def test_leaves_no_half_written_file(self, tmp_path, monkeypatch):
        put(tmp_path / "ranks")

        def fail(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            fetch(tmp_path / "new", names=["tiny"])
        assert list((tmp_path / "new").iterdir()) == []


class TestMain:
    def test_is_silent_when_all_is_there(self, monkeypatch, capsys):
        monkeypatch.setattr(_encodings, "fetch", list)
        assert _encodings.main() == 0
        assert capsys.readouterr() == ("", "")

    def test_says_in_one_line_what_it_wrote(self, monkeypatch, capsys):
        monkeypatch.setattr(_encodings, "fetch", lambda: [Path("x"), Path("y")])
        assert _encodings.main() == 0
        assert capsys.readouterr().err.startswith("Put 2 rank files into ")

    def test_says_in_one_line_what_went_wrong(self, monkeypatch, capsys):
        def fail():
            raise ConfigurationError("no way")

        monkeypatch.setattr(_encodings, "fetch", fail)
        assert _encodings.main() == 2
        assert capsys.readouterr().err == "no way\n"


def test_importing_it_loads_neither_tiktoken_nor_langchain():
    code = (
        "import sys, langchain_llmops._encodings\n"
        "assert not {'tiktoken', 'langchain_core'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_built_encoding_is_tiktokens(monkeypatch):
    monkeypatch.undo()
    path = find("o200k_base")
    assert path is not None, "run `make setup`"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(path.parent))
    ours, theirs = encoding("o200k_base"), tiktoken.get_encoding("o200k_base")
    assert ours is not None
    text = "Grüße, 世界! <|endoftext|> 12345\n\n\tif x:"
    assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)
    assert ours.n_vocab == theirs.n_vocab

"""What the doctor finds, and the way out that it names."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from langchain_llmops import _encodings
from langchain_llmops.cli import doctor


@pytest.fixture
def found(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return lambda: {check.name: check for check in doctor.examine()}


def test_required_packages_are_listed_with_their_versions(found):
    checks = found()
    assert checks["langchain-core"].says == version("langchain-core")
    assert checks["langchain-core"].state == "ok"
    assert "sentence-transformers" not in checks


def test_a_missing_or_old_package_is_bad_and_says_what_to_install(found, monkeypatch):
    def installed(name):
        if name == "rich":
            raise PackageNotFoundError(name)
        return "0.0.1" if name == "typer" else version(name)

    monkeypatch.setattr(doctor, "version", installed)
    checks = found()
    assert checks["rich"].state == checks["typer"].state == "bad"
    assert 'missing: pip install "rich' in checks["rich"].says
    assert '0.0.1 does not fit: pip install "typer>=' in checks["typer"].says
    assert doctor.run_doctor(fetch_encodings=False) == 1


def test_an_extra_that_is_not_installed_is_only_noted(found, monkeypatch, capsys):
    def installed(name):
        if name == "redis":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", installed)
    assert found()["extra redis"].state == "note"
    assert doctor.run_doctor(fetch_encodings=False) == 0
    assert 'pip install "langchain-llmops[redis]"' in capsys.readouterr().out


def test_encodings_are_exact_or_estimated(found, monkeypatch, tmp_path):
    paths = {"o200k_base": tmp_path / "file", "cl100k_base": None}
    monkeypatch.setattr(_encodings, "find", paths.get)
    checks = found()
    assert checks["encoding o200k_base"].says == f"exact, {tmp_path / 'file'}"
    assert checks["encoding cl100k_base"].state == "note"
    assert "--fetch-encodings" in checks["encoding cl100k_base"].says


def test_a_folder_that_cannot_be_written_is_bad(found, monkeypatch):
    def locked(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", locked)
    check = found()["current folder"]
    assert check.state == "bad"
    assert "Permission denied" in check.says


def test_fetching_says_what_was_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_encodings, "fetch", lambda: [tmp_path / "ranks"])
    doctor.run_doctor(fetch_encodings=True)
    assert f"Wrote {tmp_path / 'ranks'}" in capsys.readouterr().out

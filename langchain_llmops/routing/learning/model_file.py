"""A fitted model as a file: numpy's arrays and a JSON header, never a pickle."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.learning.gain_model import GainModel
from langchain_llmops.routing.text_features import FEATURES

__all__ = ["load_model", "save_model"]

_FORMAT: Final = "langchain_llmops.routing.learned"
_VERSION: Final = 1
_HEADER: Final = "header"
_UNREADABLE: Final = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


def save_model(path: str | os.PathLike[str], model: GainModel, embedding: str) -> None:
    """Write a model to a file, all of it or nothing; prompts are not part of it.

    Args:
        path: The file, by convention `*.npz`; one that is there is replaced.
        model: The model.
        embedding: The `embedding_identity` that it was fitted with.
    """
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "embedding": embedding,
        "features": FEATURES,
    }
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    arrays: dict[str, Any] = model.arrays()
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    try:
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def load_model(path: str | os.PathLike[str], embedding: str) -> GainModel:
    """Read a model from a file.

    Raises:
        ConfigurationError: There is none, it is damaged, of another version, or fitted
            with another embedding model.
    """
    try:
        # Opened here, since numpy leaves a file open that turns out to be damaged.
        with Path(path).open("rb") as file:
            arrays = dict(np.load(file, allow_pickle=False))
        header = dict(json.loads(arrays.pop(_HEADER).tobytes()))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"there is no fitted policy at {os.fspath(path)!r}: fit one and save it"
        ) from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    _check(path, header, embedding)
    try:
        return GainModel.from_arrays(arrays)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path: str | os.PathLike[str], error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{os.fspath(path)!r} is not a fitted policy ({error}): fit and save anew"
    )


def _check(
    path: str | os.PathLike[str], header: dict[str, Any], embedding: str
) -> None:
    expected = {
        "format": _FORMAT,
        "version": _VERSION,
        "features": list(FEATURES),
        "embedding": embedding,
    }
    for key, value in expected.items():
        if header.get(key) != value:
            raise ConfigurationError(
                f"the policy in {os.fspath(path)!r} was fitted with {key} "
                f"{header.get(key)!r}, not {value!r}: fit anew, or load it as it was "
                "made"
            )

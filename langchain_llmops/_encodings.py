"""tiktoken's encodings from rank files that are already on this machine.

`tiktoken.get_encoding` downloads what it does not find, and deletes a cached file whose
hash is wrong before it downloads again. Here nothing is deleted and nothing is fetched
unless `fetch` is called: an encoding is built from the first verified rank file among
tiktoken's own cache folders, this package's `_ranks/` and the installed packages that
carry a copy. `python -m langchain_llmops._encodings` puts the two files that current
models need into `_ranks/`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
import zipfile
from binascii import a2b_base64
from dataclasses import dataclass
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import tiktoken

__all__ = ["CURRENT", "ENCODINGS", "RANKS", "Spec", "encoding", "fetch", "find"]

logger = logging.getLogger(__name__)

RANKS = Path(__file__).parent / "_ranks"
"""Where `fetch` puts rank files by default."""

CURRENT = ("o200k_base", "cl100k_base")
"""What chat and embedding models of today need: fetched by `make setup`."""

_ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/"
_WHEEL = "llama-index-core==0.14.25"
_WHEEL_FOLDER = "llama_index/core/_static/tiktoken_cache"
# Installed packages with a copy: top-level name and the folder below it.
_CARRIERS = (
    ("llama_index", "core/_static/tiktoken_cache"),
    ("litellm", "litellm_core_utils/tokenizers"),
)
_CONNECT_TIMEOUT_S = 5.0
_PIP_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What makes an encoding: rank file, splitting pattern, special tokens.

    Attributes:
        ranks: Name of the rank file, which encodings may share.
        sha256: Hash that the file must have.
        pattern: Regular expression that cuts text before byte pairs are merged.
        special: Special tokens to their numbers.
    """

    ranks: str
    sha256: str
    pattern: str
    special: Mapping[str, int]

    @property
    def url(self) -> str:
        """Address from which tiktoken would download the rank file."""
        return f"{_ADDRESS}{self.ranks}.tiktoken"

    @property
    def file_name(self) -> str:
        """Name of the file in every cache folder, as tiktoken chooses it."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()


_R50K_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$"
    r"|\s+(?!\S)|\s"
)
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = Spec(
    ranks="o200k_base",
    sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    pattern="|".join(
        (
            rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_CONTRACTION}",
            rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_CONTRACTION}",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    ),
    special={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
)
_HARMONY_NAMES = {
    199998: "startoftext",
    199999: "endoftext",
    200002: "return",
    200003: "constrain",
    200005: "channel",
    200006: "start",
    200007: "end",
    200008: "message",
    200012: "call",
}

ENCODINGS: Mapping[str, Spec] = {
    "o200k_base": _O200K,
    "o200k_harmony": Spec(
        ranks=_O200K.ranks,
        sha256=_O200K.sha256,
        pattern=_O200K.pattern,
        special={
            **_O200K.special,
            **{
                f"<|{_HARMONY_NAMES.get(rank, f'reserved_{rank}')}|>": rank
                for rank in range(199998, 201088)
            },
        },
    ),
    "cl100k_base": Spec(
        ranks="cl100k_base",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
            r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
        special={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "p50k_base": Spec(
        ranks="p50k_base",
        sha256="94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        pattern=_R50K_PATTERN,
        special={"<|endoftext|>": 50256},
    ),
    "r50k_base": Spec(
        ranks="r50k_base",
        sha256="306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        pattern=_R50K_PATTERN,
        special={"<|endoftext|>": 50256},
    ),
}
"""Encodings that can be built, by tiktoken's names for them."""

_lock = threading.Lock()
_loaded: dict[str, tiktoken.Encoding | None] = {}


def encoding(name: str) -> tiktoken.Encoding | None:
    """Return an encoding, or `None` where its rank file is not on this machine.

    The first call for a name reads and parses the file (0.1 to 0.8 s) and blocks: in an
    event loop, call it on a thread beforehand. Later calls are a dictionary look-up.
    Safe across threads: a file is loaded once per process, and a miss is remembered
    until `fetch` brings the file.

    Args:
        name: One of `ENCODINGS`; any other name gives `None`.
    """
    try:
        return _loaded[name]
    except KeyError:
        pass
    with _lock:
        if name not in _loaded:
            _loaded[name] = _build(name)
        return _loaded[name]


def find(name: str, *, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the first rank file for an encoding whose hash is right.

    A file with another hash is logged and passed over; it is never deleted.

    Args:
        name: One of `ENCODINGS`; any other name gives `None`.
        environ: Where tiktoken's variables are read; the process environment by
            default.
    """
    spec = ENCODINGS.get(name)
    found = spec and _read(spec, os.environ if environ is None else environ)
    return found[0] if found else None


def fetch(
    directory: Path = RANKS,
    *,
    names: Sequence[str] = CURRENT,
    allow_download: bool = True,
    environ: Mapping[str, str] | None = None,
) -> list[Path]:
    """Put rank files into a folder: from this machine if possible, else downloaded.

    Tried in turn for each file that is missing: a verified copy on this machine,
    tiktoken's own address, and the `llama-index-core` wheel from the package index that
    pip is set up for (downloaded without dependencies, never installed; it carries only
    `CURRENT`). Each file is checked and then renamed into place. Files that are there
    and right cost a hash each: 10 ms.

    Args:
        directory: Target folder, made if needed.
        names: Encodings whose files are wanted.
        allow_download: Whether the network may be used.
        environ: As in `find`.

    Returns:
        The files that were written; empty when all were there.

    Raises:
        ConfigurationError: A file cannot be had, or the folder cannot be written.
    """
    specs = {ENCODINGS[name].file_name: ENCODINGS[name] for name in names}
    missing = {
        directory / file_name: spec
        for file_name, spec in specs.items()
        if _verified(directory / file_name, spec) is None
    }
    with tempfile.TemporaryDirectory(prefix="llmops-ranks-") as downloads:
        for target, spec in missing.items():
            found = _read(spec, os.environ if environ is None else environ)
            sources = _sources(Path(downloads)) if allow_download else ()
            _write(target, found[1] if found else _download(spec, sources))
    if missing:
        with _lock:
            for name in [name for name, value in _loaded.items() if value is None]:
                del _loaded[name]
    return list(missing)


def _build(name: str) -> tiktoken.Encoding | None:
    spec = ENCODINGS.get(name)
    found = spec and _read(spec, os.environ)
    if spec is None or not found:
        return None
    from tiktoken import Encoding  # noqa: PLC0415 - 20 ms, needed only here

    pairs = (line.split() for line in found[1].splitlines() if line)
    return Encoding(
        name,
        pat_str=spec.pattern,
        mergeable_ranks={a2b_base64(token): int(rank) for token, rank in pairs},
        special_tokens=dict(spec.special),
    )


def _read(spec: Spec, environ: Mapping[str, str]) -> tuple[Path, bytes] | None:
    for folder in _folders(environ):
        path = folder / spec.file_name
        data = _verified(path, spec)
        if data is not None:
            return path, data
    return None


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders that may hold rank files, tiktoken's own first."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if environ.get(variable):
            yield Path(environ[variable])
    yield Path(tempfile.gettempdir()) / "data-gym-cache"
    yield RANKS
    for package, below in _CARRIERS:
        # Looks along sys.path and imports nothing, not even the package.
        spec = PathFinder.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / below


def _verified(path: Path, spec: Spec) -> bytes | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("Rank file %r cannot be read: %s", str(path), error)
        return None
    if hashlib.sha256(data).hexdigest() == spec.sha256:
        return data
    logger.warning("Rank file %r is damaged (SHA-256 differs): ignored", str(path))
    return None


_UNOBTAINABLE = (
    OSError,
    KeyError,  # the wheel lacks the file
    ValueError,  # pip brought something else than one wheel
    zipfile.BadZipFile,
    subprocess.SubprocessError,
)
_Source = tuple[str, "Callable[[Spec], bytes]"]


def _sources(downloads: Path) -> Sequence[_Source]:
    return (
        ("tiktoken's address", _from_address),
        ("the package index", partial(_from_wheel, downloads)),
    )


def _download(spec: Spec, sources: Sequence[_Source]) -> bytes:
    reasons = []
    for name, source in sources:
        try:
            data = source(spec)
        except _UNOBTAINABLE as error:
            reasons.append(f"{name}: {error}")
            continue
        if hashlib.sha256(data).hexdigest() == spec.sha256:
            return data
        reasons.append(f"{name}: SHA-256 differs")
    why = "; ".join(reasons) or "not on this machine"
    raise ConfigurationError(
        f"no rank file for {spec.ranks!r} ({why}): save {spec.url} as "
        f"{spec.file_name!r} in a folder and set TIKTOKEN_CACHE_DIR to that folder"
    )


def _from_address(spec: Spec) -> bytes:
    with urllib.request.urlopen(spec.url, timeout=_CONNECT_TIMEOUT_S) as reply:  # noqa: S310 - a constant https address
        data: bytes = reply.read()
    return data


def _from_wheel(downloads: Path, spec: Spec) -> bytes:
    """Read a rank file out of the wheel, which is downloaded for the first of them."""
    if not any(downloads.iterdir()):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        done = subprocess.run(  # noqa: S603 - constant arguments
            [*command, "download", "--quiet", "--no-deps", "--dest", downloads, _WHEEL],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PIP_TIMEOUT_S,
        )
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise OSError(f"pip cannot download {_WHEEL}: {last}")
    (path,) = downloads.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(f"{_WHEEL_FOLDER}/{spec.file_name}")


def _write(target: Path, data: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            try:
                file.write(data)
                file.close()
                Path(file.name).chmod(0o644)  # one install may serve several users
                Path(file.name).replace(target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the rank file {str(target)!r} ({error}): "
            "make its folder writable or choose another"
        ) from error


def main() -> int:
    """Fetch what `make setup` needs: silent when all is there, else one line."""
    try:
        written = fetch()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if written:
        sys.stderr.write(f"Put {len(written)} rank files into {RANKS}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

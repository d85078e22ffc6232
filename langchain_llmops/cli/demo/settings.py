"""What the user asked the demo for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of `llmops demo`.

    Args:
        model: Chat model.
        embedding_model: Embedding model.
        real: Whether to call OpenAI with `OPENAI_API_KEY`.
        base_url: Another OpenAI-compatible server; `None` for none.
        max_usd: Ceiling on what a real provider may cost.
        docs: Folder of documents instead of Python's reference.
        questions: File of questions instead of the shipped log.
        limit: Only so many questions.
        concurrency: Questions open at once.
        seed: Where the local provider's chance comes from.
        report: Where the HTML report goes; `None` for `reports/` here.
        cache: SQLite file of the cache; `None` for a temporary one.
        ledger: SQLite file of the ledger; `None` for one beside the report.

    Raises:
        ConfigurationError: `docs` without `questions`: the shipped log asks about
            Python.
    """

    model: str
    embedding_model: str
    real: bool
    base_url: str | None
    max_usd: Decimal
    docs: Path | None
    questions: Path | None
    limit: int | None
    concurrency: int
    seed: int
    report: Path | None
    cache: Path | None
    ledger: Path | None

    def __post_init__(self) -> None:
        if self.docs is not None and self.questions is None:
            raise ConfigurationError(
                "--docs needs --questions: the shipped questions are about Python; "
                'write one JSON object per line, such as {"question": "…"}'
            )

    @property
    def local(self) -> bool:
        """Whether the provider runs on this machine, inside the demo."""
        return not self.real and self.base_url is None

"""The main job: index, run both arms over the traffic, compare."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_openai import OpenAIEmbeddings
from openai import OpenAIError

from langchain_llmops import _encodings
from langchain_llmops.cli.demo import chains
from langchain_llmops.cli.demo.cached import Cached
from langchain_llmops.cli.demo.chapter import Stage
from langchain_llmops.cli.demo.chapters import run_chapters
from langchain_llmops.cli.demo.documents import load_folder, load_reference, split
from langchain_llmops.cli.demo.endpoints import (
    ANSWER_TOKENS,
    SIMULATED,
    open_endpoint,
)
from langchain_llmops.cli.demo.purse import Purse
from langchain_llmops.cli.demo.questions import load_questions, shipped_questions
from langchain_llmops.cli.demo.results import ArmResult, Billed, Comparison
from langchain_llmops.cli.demo.run import Arm
from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import FaissStore

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_llmops.cli.demo.cached import Part
    from langchain_llmops.cli.demo.endpoints import Endpoint
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.screen import Screen
    from langchain_llmops.cli.demo.settings import Settings
    from langchain_llmops.cost import UsageLedger

__all__ = ["Traffic", "load_traffic", "run_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the job works on.

    Args:
        documents: How many documents there are.
        chunks: The pieces to search.
        questions: What will be asked.
        source: What the documents are.
    """

    documents: int
    chunks: Sequence[Document]
    questions: Sequence[Question]
    source: str


def load_traffic(settings: Settings) -> Traffic:
    """Read documents and questions.

    Raises:
        ConfigurationError: Something cannot be read; the message names it.
    """
    questions = (
        load_questions(settings.questions)
        if settings.questions
        else shipped_questions()
    )
    documents = load_folder(settings.docs) if settings.docs else load_reference()
    return Traffic(
        documents=len(documents),
        chunks=split(documents),
        questions=questions[: settings.limit],
        source=str(settings.docs) if settings.docs else "Python language reference",
    )


def run_job(
    settings: Settings, traffic: Traffic, screen: Screen, ledger: UsageLedger
) -> Comparison:
    """Index the documents, then run one arm after the other, and then the chapters.

    The second arm asks the earlier part of the log in shadow mode, calibrates its cache
    on what that showed, and then serves.

    Args:
        settings: What the user asked for.
        traffic: What to work on.
        screen: Hears of every question that is done.
        ledger: Keeps what each call cost, as features `demo before`, `demo after` and
            those of the chapters.

    Raises:
        LLMOpsError: No answer can be had, or a file cannot be used.
        KeyboardInterrupt: Ctrl-C; the temporary files are gone.
    """
    with tempfile.TemporaryDirectory(
        prefix="llmops-demo-",
        ignore_cleanup_errors=True,  # Windows keeps an open SQLite file
    ) as name:
        bench = _Bench(settings, traffic, screen, Path(name), ledger)
        with screen.busy(f"Embedding {len(traffic.chunks):,} chunks"):
            bench.index()
        # One event loop for both: the HTTP client of langchain-openai is shared.
        with asyncio.Runner() as runner:
            before = bench.run(runner, "before", _ProofOfConcept(bench.documents))
            cached = Cached(
                bench.documents, settings.cache or Path(name) / "cache.sqlite3"
            )
            after = bench.run(runner, "after", cached)
            with screen.busy("Routing, memory, a knowledge base that changes"):
                chapters = run_chapters(bench.stage(runner))
    return Comparison(
        questions=traffic.questions,
        before=before,
        after=after,
        documents=traffic.documents,
        chunks=len(traffic.chunks),
        source=traffic.source,
        provider=_provider_name(settings),
        simulated=SIMULATED if settings.local else None,
        stopped=bench.stopped,
        shadow=cached.report(),
        chapters=chapters,
    )


class _ProofOfConcept:
    """The first arm: one chain for the whole log."""

    def __init__(self, documents: Path) -> None:
        self._documents = documents

    def parts(
        self, endpoint: Endpoint, embeddings: Embeddings, questions: Sequence[Question]
    ) -> Generator[Part]:
        chain = chains.proof_of_concept(endpoint.chat, embeddings, self._documents)
        yield chain, questions


class _Bench:
    """What both arms share: documents on disk, and a purse."""

    def __init__(
        self,
        settings: Settings,
        traffic: Traffic,
        screen: Screen,
        folder: Path,
        ledger: UsageLedger,
    ) -> None:
        self._settings = settings
        self._traffic = traffic
        self._screen = screen
        self._ledger = ledger
        self._asked = traffic.questions
        self._purse = Purse(
            settings,
            traffic.questions,
            documents=[chains.context([chunk]) for chunk in traffic.chunks],
            per_question=chains.DOCUMENTS_PER_QUESTION,
            answer_tokens=ANSWER_TOKENS,
        )
        self.documents = folder / "documents"
        self.stopped: str | None = None

    def index(self) -> None:
        """Embed the documents once, for both arms."""
        if self._settings.local:
            # Read now, or the first answers of the first arm would wait for them.
            for encoding in _encodings.CURRENT:
                _encodings.encoding(encoding)
        self._purse.pay_for_index(chunk.page_content for chunk in self._traffic.chunks)
        with open_endpoint(self._settings) as endpoint:
            store = FaissStore(OpenAIEmbeddings(**endpoint.embeddings))
            try:
                store.add_documents(list(self._traffic.chunks))
            except OpenAIError as error:
                model = self._settings.embedding_model
                raise ConfigurationError(
                    f"cannot embed the documents with {model!r} ({error}): check "
                    "--embedding-model, --base-url and OPENAI_API_KEY"
                ) from error
        store.save(self.documents)

    def run(
        self, runner: asyncio.Runner, name: str, contender: _ProofOfConcept | Cached
    ) -> ArmResult:
        """Run one arm over what the arm before it was asked."""
        costs = CostCallbackHandler(self._ledger)
        purse = self._purse
        arm = Arm(name, model=self._settings.model, callbacks=[costs])
        spending = purse.spending(
            self._asked,
            lambda: costs.report().usd + purse.worst_of_failed(arm.turns),
            last=name == "after",
        )
        with open_endpoint(self._settings) as endpoint:
            embeddings = OpenAIEmbeddings(**endpoint.embeddings)
            with (
                closing(contender.parts(endpoint, embeddings, self._asked)) as parts,
                self._screen.arm(name, len(self._asked)) as on_turn,
            ):
                wanted = 0
                for chain, questions in parts:
                    run = arm.run(
                        chain,
                        questions,
                        concurrency=self._settings.concurrency,
                        on_turn=on_turn,
                        spending=spending,
                    )
                    runner.run(run)
                    wanted += len(questions)
                    if len(arm.turns) < wanted:
                        break
            invoiced, embedded = endpoint.invoice()
        report = costs.report()
        purse.spent_usd += report.usd + purse.worst_of_failed(arm.turns)
        self._note_the_end(arm)
        return ArmResult(
            name=name,
            turns=arm.turns,
            counted=Billed(
                calls=report.calls,
                input_tokens=report.input_tokens,
                output_tokens=report.output_tokens,
                usd=None if report.unpriced else report.usd,
            ),
            invoiced=invoiced,
            embedded=embedded,
            wall_s=arm.wall_s,
        )

    def stage(self, runner: asyncio.Runner) -> Stage:
        """Return what the chapters work with."""
        return Stage(
            settings=self._settings,
            questions=self._traffic.questions,
            chunks=self._traffic.chunks,
            documents=self.documents,
            folder=self.documents.parent,
            ledger=self._ledger,
            runner=runner,
        )

    def _note_the_end(self, arm: Arm) -> None:
        """Remember it if the ceiling ended an arm early: the next is asked as much."""
        asked, wanted = len(arm.turns), len(self._asked)
        limit = self._settings.max_usd
        if not asked:
            raise ConfigurationError(
                f"--max-usd {limit} does not allow a single question to be asked "
                f"{arm.name!r}: raise it, or pass fewer --docs"
            )
        if asked < wanted:
            self._asked = self._asked[:asked]
            self.stopped = self.stopped or (
                f"--max-usd {limit} ended {arm.name!r} after {asked} of {wanted} "
                f"questions, ${self._purse.spent_usd:.4f} spent so far: raise it, or "
                "pass --limit"
            )


def _provider_name(settings: Settings) -> str:
    if settings.local:
        return "LocalProvider, on this machine"
    return settings.base_url or "OpenAI"

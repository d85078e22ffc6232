"""Routing: every question to the strong model, or each to the one that it needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops.cli.demo.chains import rag_chain
from langchain_llmops.cli.demo.chapter import Chapter, right_answers, sample
from langchain_llmops.cli.demo.endpoints import open_endpoint
from langchain_llmops.cli.demo.results import Figure
from langchain_llmops.retrieval import FaissStore
from langchain_llmops.routing import Candidate, ModelRouter, complexity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from langchain_core.language_models import BaseChatModel

    from langchain_llmops.cli.demo.chapter import Stage
    from langchain_llmops.cli.demo.endpoints import Endpoint
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.results import Unit, Value
    from langchain_llmops.cli.demo.turns import Turn

__all__ = ["routing_chapter"]

_CHEAP: Final = "gpt-4o-mini"
_STRONG: Final = "gpt-4o"
_QUALITY: Final = {_STRONG: 0.887, _CHEAP: 0.82}
"""Share of right answers on MMLU, as OpenAI published it."""
_ERROR_USD: Final = "0.20"

_ASKED: Final = 40
_ASKED_LATE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What came of one way to choose.

    Args:
        turns: The questions while both models were up.
        late: Those while the strong one was down.
        calls: Calls of each model before that, as billed.
        usd: What these cost.
    """

    turns: Sequence[Turn]
    late: Sequence[Turn]
    calls: Counter[str]
    usd: Decimal | None


def routing_chapter(stage: Stage) -> Chapter:
    """Ask a sample of the log, and the last of it while the strong model is down.

    Args:
        stage: What to work with; the provider is local.
    """
    chosen = sample(stage.questions, _ASKED + _ASKED_LATE)
    cut = len(chosen) - min(_ASKED_LATE, len(chosen) // 2)
    asked, late = chosen[:cut], chosen[cut:]
    alone = _seen(stage, "routing alone", _strong, asked, late)
    routed = _seen(stage, "routing", _router, asked, late)

    def line(
        key: str, label: str, unit: Unit, value: Callable[[_Seen], Value]
    ) -> Figure:
        before, after = value(alone), value(routed)
        return Figure(key=key, label=label, unit=unit, before=before, after=after)

    return Chapter(
        key="routing",
        title="Routing: the cheap model where it will do",
        columns=(_STRONG, "router"),
        figures=(
            line("questions", "Questions", "count", lambda one: len(one.turns)),
            line("strong", f"Calls to {_STRONG}", "count", _calls(_STRONG)),
            line("cheap", f"Calls to {_CHEAP}", "count", _calls(_CHEAP)),
            line("usd", "USD on the invoice", "usd", lambda one: one.usd),
            line("right", "Right answers", "count", lambda o: right_answers(o.turns)),
            line("late", f"Questions, {_STRONG} down", "count", lambda o: len(o.late)),
            line("late_answers", "Answers that arrived", "count", _arrived),
        ),
        note=(
            f"The router takes {_STRONG} where its better answer is worth its price: "
            f"a quality table says how much better, and a wrong answer costs "
            f"${_ERROR_USD} here. An answer counts as right if it was made from a "
            "right document. The local provider's models are equally good, so quality "
            "can differ only where answers do not arrive."
        ),
    )


def _seen(
    stage: Stage,
    name: str,
    model: Callable[[Endpoint], BaseChatModel],
    asked: Sequence[Question],
    late: Sequence[Question],
) -> _Seen:
    from langchain_llmops.testing import ServerError  # noqa: PLC0415 - slow

    with open_endpoint(stage.settings, at_once=True) as endpoint:
        embeddings = OpenAIEmbeddings(**endpoint.embeddings)
        store = FaissStore.load(stage.documents, embeddings)
        chain = rag_chain(model(endpoint), store)
        arm = stage.arm(name)
        turns = stage.ask(arm, chain, asked)
        billed, _ = endpoint.invoice()
        calls: Counter[str] = Counter()
        if endpoint.provider is not None:
            calls.update(row.model for row in endpoint.provider.invoice)
            endpoint.provider.inject(ServerError(status=503, model=_STRONG))
        return _Seen(
            turns=turns,
            late=stage.ask(arm, chain, late) if late else (),
            calls=calls,
            usd=billed.usd if billed else None,
        )


def _strong(endpoint: Endpoint) -> BaseChatModel:
    return ChatOpenAI(**{**endpoint.chat, "model": _STRONG})


def _router(endpoint: Endpoint) -> BaseChatModel:
    models = (ChatOpenAI(**{**endpoint.chat, "model": name}) for name in _QUALITY)
    return ModelRouter(
        [Candidate(model) for model in models],
        policy=complexity(_QUALITY, error_usd=_ERROR_USD),
    )


def _calls(model: str) -> Callable[[_Seen], int]:
    return lambda one: one.calls[model]


def _arrived(seen: _Seen) -> int:
    return sum(turn.error is None for turn in seen.late)

"""`learned`: send to the strong model what your own logs say needs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.model_names import embedding_identity
from langchain_llmops.pricing import Usage
from langchain_llmops.routing.base import Opinion, SelectionPolicy
from langchain_llmops.routing.learning.records import prompts_and_gains
from langchain_llmops.routing.text_features import text_features

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from langchain_core.embeddings import Embeddings

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.learning.gain_model import GainModel
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["LearnedPolicy", "learned"]

_FEW: Final = 8
"""Prompts that are scored in the event loop, at less than a millisecond each."""


def learned(
    *,
    embeddings: Embeddings,
    strong: str | Collection[str] = (),
    strong_share: float = 0.5,
) -> LearnedPolicy:
    """Return a policy that learns from your logs which prompts need a strong model.

    Args:
        embeddings: Turns prompts into vectors: one call for each call that is routed.
        strong: Name or names of the strong candidates; by default the dearest.
        strong_share: Share of prompts like those learnt from that may go to them: the
            ones that gain most.

    Raises:
        ConfigurationError: `strong_share` is not from 0 to 1.
    """
    return LearnedPolicy(
        embeddings=embeddings, strong=strong, strong_share=strong_share
    )


class LearnedPolicy(SelectionPolicy):
    """Rank by what the strong model adds, as learnt from records of both models.

    It is also a `DifficultyEstimator`, so that `complexity(…, estimator=fitted)` can
    weigh its scores against costs. Where the difficulty of a call is unknown (the
    embedding model failed) the strong candidates come first.

    Fitting replaces what was learnt in one step: calls under way in other threads see
    the old or the new. Scoring is safe across threads and event loops.

    Args are those of `learned`.

    Example:
        ```python
        from langchain_openai import OpenAIEmbeddings

        from langchain_llmops.routing import learned

        embeddings = OpenAIEmbeddings(check_embedding_ctx_length=False)
        logs = [{"prompt": f"What is {n}?", "weak": True, "strong": True}
                for n in range(20)]
        logs += [{"prompt": f"Prove {n}, or not.", "weak": False, "strong": True}
                 for n in range(20)]
        policy = learned(embeddings=embeddings).fit(logs)
        easy, hard = policy.scores(["What is 99?", "Prove 99, or not."])
        print(easy < hard)
        #> True
        ```
    """

    def __init__(
        self,
        *,
        embeddings: Embeddings,
        strong: str | Collection[str] = (),
        strong_share: float = 0.5,
    ) -> None:
        if not 0 <= strong_share <= 1:
            raise ConfigurationError(
                f"strong_share is {strong_share!r}: give a share from 0 to 1"
            )
        self._embeddings = embeddings
        self._strong = frozenset([strong] if isinstance(strong, str) else strong)
        self._threshold = 1 - strong_share
        self._model: GainModel | None = None

    def __repr__(self) -> str:
        state = "unfitted" if self._model is None else "fitted"
        return f"<LearnedPolicy: {state}, {1 - self._threshold:.0%} to the strong>"

    @property
    def is_fitted(self) -> bool:
        """Whether it has learnt, or loaded what was learnt."""
        return self._model is not None

    def fit(self, records: Iterable[Mapping[str, Any]]) -> LearnedPolicy:
        """Learn from records, in place of what was learnt before.

        Embeds every prompt (`embed_documents`, one call) and computes: some 3 s of CPU
        for 3,500 records.

        Args:
            records: `{"prompt": text, "weak": quality, "strong": quality}`, qualities
                from 0 to 1 or booleans (right or wrong); at least 20, of both models on
                the same prompts.

        Returns:
            This policy.

        Raises:
            ConfigurationError: Records are malformed, too few or all alike.
        """
        prompts, gains = prompts_and_gains(records)
        self._model = _fitted(prompts, self._embeddings.embed_documents(prompts), gains)
        return self

    async def afit(self, records: Iterable[Mapping[str, Any]]) -> LearnedPolicy:
        """Do what `fit` does, through the embedding model's async method.

        The computation goes to a thread.
        """
        prompts, gains = prompts_and_gains(records)
        rows = await self._embeddings.aembed_documents(prompts)
        self._model = await asyncio.to_thread(_fitted, prompts, rows, gains)
        return self

    def scores(self, prompts: Sequence[str]) -> list[float]:
        """Return how much each prompt needs the strong model.

        A score is the share of the prompts learnt from that need it less: 0.7 is among
        the neediest 30 %.

        Args:
            prompts: Texts; they are embedded in one call.

        Raises:
            ConfigurationError: The policy is not fitted, or the embedding model is not
                the one that it was fitted with. Its own errors come through.
        """
        model = self._fitted_model()
        if not prompts:
            return []
        return _scores(model, prompts, self._embeddings.embed_documents(list(prompts)))

    async def ascores(self, prompts: Sequence[str]) -> list[float]:
        """Return what `scores` returns, through the embedding model's async method."""
        model = self._fitted_model()
        if not prompts:
            return []
        rows = await self._embeddings.aembed_documents(list(prompts))
        if len(prompts) <= _FEW:
            return _scores(model, prompts, rows)
        return await asyncio.to_thread(_scores, model, prompts, rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learnt to a file (npz with a JSON header; no prompts in it).

        Raises:
            ConfigurationError: The policy is not fitted.
        """
        from langchain_llmops.routing.learning import model_file  # noqa: PLC0415 - numpy

        model_file.save_model(
            path,
            self._fitted_model(),
            embedding_identity(self._embeddings),
        )

    def load(self, path: str | os.PathLike[str]) -> LearnedPolicy:
        """Read what was learnt from a file, in place of fitting.

        Returns:
            This policy.

        Raises:
            ConfigurationError: There is no such file, it is damaged, of another
                version, or was fitted with another embedding model.
        """
        from langchain_llmops.routing.learning import model_file  # noqa: PLC0415 - numpy

        identity = embedding_identity(self._embeddings)
        self._model = model_file.load_model(path, identity)
        return self

    @property
    def estimator(self) -> LearnedPolicy:
        """The policy itself: its scores are the difficulty."""
        return self

    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,  # noqa: ARG002 - the interface's
        chance: Chance,  # noqa: ARG002
    ) -> Sequence[Opinion]:
        """Return the strong candidates first where the difficulty asks for them."""
        hard = request.difficulty
        needs_strong = hard is None or hard >= self._threshold
        seen = "difficulty unknown" if hard is None else f"difficulty {hard:.2f}"
        strong = self._strong or _dearest(candidates)
        return [
            Opinion(
                key=(float((one.name in strong) is not needs_strong),),
                reason=f"{seen}, {'strong' if one.name in strong else 'weak'} model",
            )
            for one in candidates
        ]

    def check(self, candidates: Sequence[Candidate]) -> None:
        """Raise `ConfigurationError` if it is unfitted or no candidate is the strong.

        Or if none is told to be strong and their prices do not tell either.
        """
        self._fitted_model()
        names = {candidate.name for candidate in candidates}
        if unknown := sorted(self._strong - names):
            raise ConfigurationError(
                f"strong names {unknown!r}, but the candidates are {sorted(names)!r}"
                ": use their names"
            )
        if not self._strong and not _dearest(candidates):
            raise ConfigurationError(
                f"which of {sorted(names)!r} is the strong model cannot be told by "
                "price: give learned(strong=…)"
            )

    def _fitted_model(self) -> GainModel:
        if self._model is None:
            raise ConfigurationError(
                f"{self!r} has learnt nothing yet: call fit(records) or load(path)"
            )
        return self._model


def _fitted(
    prompts: Sequence[str], rows: Sequence[Sequence[float]], gains: Sequence[float]
) -> GainModel:
    import numpy as np  # noqa: PLC0415 - only who fits needs it

    from langchain_llmops.routing.learning.gain_model import (  # noqa: PLC0415
        GainModel,
        unit_rows,
    )

    vectors = unit_rows(rows, len(prompts))
    features = np.array([text_features(prompt) for prompt in prompts])
    return GainModel.fit(vectors, features, np.array(gains))


def _scores(
    model: GainModel, prompts: Sequence[str], rows: Sequence[Sequence[float]]
) -> list[float]:
    import numpy as np  # noqa: PLC0415 - only who fits needs it

    from langchain_llmops.routing.learning.gain_model import unit_rows  # noqa: PLC0415

    vectors = unit_rows(rows, len(prompts), model.dimensions)
    features = np.array([text_features(prompt) for prompt in prompts])
    return model.scores(vectors, features)


_MILLION = Usage(1_000_000, 1_000_000)


def _dearest(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the name of the dearest candidate; none if prices are equal or unknown."""
    costs = {one.name: one.cost(_MILLION) for one in candidates}
    known = [cost for cost in costs.values() if cost is not None]
    if len(known) < len(costs) or len(set(known)) < min(len(costs), 2):
        return frozenset()
    top = max(known)
    return frozenset(name for name, cost in costs.items() if cost == top)

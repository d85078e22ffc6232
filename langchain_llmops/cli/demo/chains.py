"""One RAG chain: with a bare model, with a cache in shadow mode, with it serving."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_openai import ChatOpenAI

from langchain_llmops.caching import (
    CachedEmbeddings,
    CacheLayer,
    MemoryTier,
    SemanticCache,
    SQLiteTier,
    TieredCache,
)
from langchain_llmops.models import with_layers
from langchain_llmops.retrieval import FaissStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable
    from langchain_core.vectorstores import VectorStore

__all__ = [
    "DOCUMENTS_PER_QUESTION",
    "Chain",
    "LabelledPair",
    "calibrated",
    "calibrated_lines",
    "changed_lines",
    "context",
    "proof_of_concept",
    "rag_chain",
    "shadowed",
]

Chain: TypeAlias = "Runnable[dict[str, Any], str]"
"""Takes `{"question": str, "turns": list of earlier messages}`, streams text."""

LabelledPair: TypeAlias = tuple[str, str, bool]
"""Two questions, and whether an answer to one answers the other."""

DOCUMENTS_PER_QUESTION = 4

_INSTRUCTIONS = """\
Answer the question from the context, briefly and only from it.
If the context does not say, say that.

Context:
{context}"""

_PROMPT = ChatPromptTemplate(
    [
        ("system", _INSTRUCTIONS),
        MessagesPlaceholder("turns"),
        ("human", "{question}"),
    ]
)


def rag_chain(model: BaseChatModel, store: VectorStore) -> Chain:
    """Return the chain under test: search, prompt, model, text."""
    search = RunnableLambda(_search_text) | store.as_retriever(
        search_kwargs={"k": DOCUMENTS_PER_QUESTION}
    )
    return (
        RunnablePassthrough.assign(context=search | context)
        | _PROMPT
        | model
        | StrOutputParser()
    )


def proof_of_concept(
    options: Mapping[str, Any], embeddings: Embeddings, documents: Path
) -> Chain:
    """Return the chain as a proof of concept has it.

    Args:
        options: Arguments of `ChatOpenAI`.
        embeddings: What the documents were embedded with.
        documents: Where the documents were saved.
    """
    store = FaissStore.load(documents, embeddings)
    model = ChatOpenAI(**options)
    return rag_chain(model, store)


def shadowed(
    options: Mapping[str, Any], embeddings: Embeddings, documents: Path, path: Path
) -> tuple[Chain, SemanticCache]:
    """Return the same chain with a cache of answers, and that cache: in shadow mode.

    Exact hits are served, out of memory or from disk; near questions are looked up and
    compared only. Search and cache both embed the question: remembered, it is embedded
    once.

    Args:
        options: Arguments of `ChatOpenAI`.
        embeddings: What the documents were embedded with.
        documents: Where the documents were saved.
        path: The cache's SQLite file.
    """
    embeddings = CachedEmbeddings(embeddings)
    store = FaissStore.load(documents, embeddings)
    model = ChatOpenAI(**options)
    tiers = TieredCache([MemoryTier(), SQLiteTier(path)])
    cache = SemanticCache(embeddings, tier=tiers, mode="shadow")
    model = with_layers(model, CacheLayer(cache))
    return rag_chain(model, store), cache


def calibrated(
    options: Mapping[str, Any],
    embeddings: Embeddings,
    documents: Path,
    path: Path,
    pairs: Sequence[LabelledPair],
) -> tuple[Chain, SemanticCache]:
    """Return the chain that serves near questions, as far as labelled pairs prove it.

    Args:
        options: Arguments of `ChatOpenAI`.
        embeddings: What the documents were embedded with.
        documents: Where the documents were saved.
        path: The cache's SQLite file, with what shadow mode left there.
        pairs: What shadow mode found, labelled; at least one.
    """
    embeddings = CachedEmbeddings(embeddings)
    store = FaissStore.load(documents, embeddings)
    model = ChatOpenAI(**options)
    tiers = TieredCache([MemoryTier(), SQLiteTier(path)])
    cache = SemanticCache(embeddings, tier=tiers, max_false_hit_rate=0.2)
    cache.calibrate(pairs)
    model = with_layers(model, CacheLayer(cache))
    return rag_chain(model, store), cache


def changed_lines() -> list[str]:
    """Return the statements that shadow mode adds to the proof of concept."""
    return _added(proof_of_concept, shadowed)


def calibrated_lines() -> list[str]:
    """Return the statements that change once there are labelled pairs."""
    return _added(shadowed, calibrated)


def _added(before: Callable[..., object], after: Callable[..., object]) -> list[str]:
    compared = difflib.ndiff(_statements(before), _statements(after))
    return [line[2:] for line in compared if line.startswith("+ ")]


def _statements(function: Callable[..., object]) -> list[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise TypeError(f"{function!r} is not a function")
    return [ast.unparse(statement) for statement in tree.body[1:-1]]


def _search_text(inputs: Mapping[str, Any]) -> str:
    """Return what to search for: a later turn is understood from the one before."""
    asked: list[BaseMessage] = [
        turn for turn in inputs["turns"] if turn.type == "human"
    ]
    question: str = inputs["question"]
    return f"{asked[-1].text}\n{question}" if asked else question


def context(documents: list[Document]) -> str:
    """Join documents in an order that does not depend on the question's wording.

    Two questions share a cached answer only if all that stands before them is equal,
    so the same evidence must read the same, whichever document was nearest.
    """
    ordered = sorted(documents, key=lambda document: str(document.id))
    return "\n\n".join(
        f"[{document.metadata['topic']}]\n\n{document.page_content}"
        for document in ordered
    )

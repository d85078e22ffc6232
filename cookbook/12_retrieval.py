# %% [markdown]
# # A threshold that means something
#
# `score_threshold=0.7` depends on the store it is given to. Here the same documents are
# put into four stores, and asked for a cosine of 0.7 both ways. The embeddings are made
# up, so that the true cosines are known: the text says them.

# %%
import math
import time
import warnings

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llmops import FaissStore, IndexAdvisor, ThresholdRetriever
from langchain_llmops.retrieval import IndexSpec, Workload, benchmark_index

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # langchain_community says that it is archived
    from langchain_community.vectorstores import FAISS
    from langchain_community.vectorstores.utils import DistanceStrategy


class Known(Embeddings):
    """The text is the cosine to the question."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        cosine = 1.0 if text == "question" else float(text)
        return [cosine, math.sqrt(1 - cosine**2)]


texts = ["1.0", "0.9", "0.8", "0.7", "0.6", "0.3", "-0.5"]
stores = {
    "FaissStore": FaissStore.from_texts(texts, Known()),
    "InMemoryVectorStore": InMemoryVectorStore.from_texts(texts, Known()),
    "community FAISS, L2": FAISS.from_texts(texts, Known()),
    "community FAISS, inner product": FAISS.from_texts(
        texts, Known(), distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT
    ),
}

# %%
for name, store in stores.items():
    plain = store.as_retriever(
        search_type="similarity_score_threshold",
        search_kwargs={"score_threshold": 0.7, "k": 7},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scores below 0
        try:
            theirs = [document.page_content for document in plain.invoke("question")]
        except NotImplementedError:
            theirs = "not implemented"
    ours = ThresholdRetriever(store, threshold=0.7, k=7).invoke("question")
    print(f"{name:32} {theirs!s:32} {[document.page_content for document in ours]}")

# %% [markdown]
# The inner product is turned round: the threshold keeps the worst document.
#
# ## The cache follows the store
#
# Nothing is searched twice, and nothing old is returned once the store has changed.

# %%
store = stores["FaissStore"]
retriever = ThresholdRetriever(store, threshold=0.85)
before = [document.page_content for document in retriever.invoke("question")]
retriever.invoke("question")
store.add_texts(["0.95"])
after = [document.page_content for document in retriever.invoke("question")]
before, after, retriever.cache.stats()

# %% [markdown]
# ## Which index?
#
# The advisor is a pure function of the workload.

# %%
for workload in (
    Workload(count=5_000, dimension=384),
    Workload(count=1_000_000, dimension=384, max_latency_ms=15),
    Workload(count=2_000_000, dimension=384, max_latency_ms=5, qps=50),
    Workload(count=1_000_000, dimension=384, max_memory_bytes=5e8, max_latency_ms=150),
):
    advice = IndexAdvisor().recommend(workload)
    best = advice.best
    print(
        f"{workload.count:9,} {best.spec.kind:5} recall {best.recall:.2f} "
        f"{best.latency_ms:6.1f} ms {best.memory_bytes / 1e6:6,.0f} MB: {advice.reason}"
    )

# %% [markdown]
# And this measures on your own vectors.

# %%
rng = np.random.default_rng(0)
topics = rng.standard_normal((100, 64))
vectors = topics[rng.integers(100, size=5_100)] + rng.normal(0, 0.5, (5_100, 64))
for one in benchmark_index(
    vectors[:5_000],
    vectors[5_000:],
    specs=[IndexSpec(kind=kind) for kind in ("flat", "sq8", "bits", "ivf")],
):
    print(
        f"{one.spec.kind:5} recall {one.recall:.2f}, "
        f"score off by {one.cosine_error:.4f}, "
        f"{one.memory_bytes / 5_000:.0f} bytes a vector"
    )

# %% [markdown]
# ## A hit costs next to nothing

# %%
start = time.perf_counter()
for _ in range(1_000):
    retriever.invoke("question")
print(f"{(time.perf_counter() - start) * 1e3:.0f} µs for each hit")

# %% [markdown]
# # Add caching and cost tracking to a chain that exists
#
# The chain below answers questions about Python from the documentation that every
# Python carries. It is a plain LangChain chain. Two things are added to it: a report of
# what it costs, and a cache of answers. Then a log of real-looking questions is asked
# twice, once without and once with the cache.
#
# Without `OPENAI_API_KEY` a local provider answers (nothing is downloaded, nothing is
# paid). With a key the same notebook calls OpenAI, for less than ten cents.

# %%
import json
import os
from importlib.resources import files
from pydoc_data.topics import topics

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops import (
    CacheLayer,
    CostCallbackHandler,
    FaissStore,
    SemanticCache,
    with_layers,
)
from langchain_llmops.testing import LocalProvider

provider = None if os.environ.get("OPENAI_API_KEY") else LocalProvider().start()
openai = {"base_url": provider.base_url, "api_key": "local"} if provider else {}

# %% [markdown]
# ## The chain, as it was

# %%
embeddings = OpenAIEmbeddings(
    model="text-embedding-3-small", check_embedding_ctx_length=False, **openai
)
store = FaissStore(embeddings)
store.add_documents(
    [
        Document(text[:3_000], id=name)
        for name, text in sorted(topics.items())
        if len(text) < 12_000
    ]
)

prompt = ChatPromptTemplate(
    [
        ("system", "Answer from the context, briefly.\n\nContext:\n{context}"),
        ("human", "{question}"),
    ]
)


def context(found):
    return "\n\n".join(sorted(document.page_content for document in found))


def rag_chain(model):
    search = store.as_retriever(search_kwargs={"k": 2}) | context
    question = {"context": search, "question": RunnablePassthrough()}
    return question | prompt | model | StrOutputParser()


model = ChatOpenAI(model="gpt-4o-mini", **openai)
chain = rag_chain(model)
print(chain.invoke("What does the nonlocal statement do?"))

# %% [markdown]
# ## The traffic
#
# The log that `llmops demo` uses, without conversations: single questions, some of them
# asked again, word for word or in other words. Every saving depends on this share, so
# it is the first thing to know about one's own traffic.

# %%
log = files("langchain_llmops.cli").joinpath("data/questions.jsonl")
rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
openings = {}
for row in rows:
    openings.setdefault(row["session"], row)  # without the turns that follow
rows = list(openings.values())
again = sum(row["kind"] in {"repeat", "paraphrase"} for row in rows)
print(f"{len(rows)} questions, {again / len(rows):.0%} of them asked before")

# %% [markdown]
# ## What does it cost?
#
# The handler goes into the config of the call, and what a call is for into its
# metadata.


# %%
def replay(chain):
    costs = CostCallbackHandler()
    for row in rows:
        config = {"callbacks": [costs], "metadata": {"feature": row["kind"]}}
        chain.invoke(row["question"], config)
    return costs.report()


before = replay(chain)
print(f"{before.calls} calls, {before.input_tokens:,} input tokens, ${before.usd:.4f}")

# %% [markdown]
# ## The cache
#
# One object of the chain is swapped. The model keeps its class, so nothing else
# notices.

# %%
cache = SemanticCache(embeddings)
cached_model = with_layers(model, CacheLayer(cache))
after = replay(rag_chain(cached_model))

print(f"{after.calls} calls, {after.input_tokens:,} input tokens, ${after.usd:.4f}")
print(f"{after.cache_hits} answers from the cache saved ${after.saved_usd:.4f}")

# %% [markdown]
# Which questions were spared? Repeats, however they are spelled. A look-alike (`//`
# after `/`, `nonlocal` after `global`) must be paid for. Paraphrases hardly hit here:
# the local provider's embeddings know words, not meanings, so other words find other
# evidence, and answers are shared over the same evidence only. What another embedding
# model makes of them, shadow mode tells (`SemanticCache(..., mode="shadow")`) before it
# serves anything.

# %%
for kind, part in sorted(after.by_feature.items()):
    print(f"{kind:13} {part.calls:4} calls {part.cache_hits:4} hits")

# %%
stats = cache.stats()
print("answers by kind", dict(sorted(stats.tier.hits_by_kind.items())))
print("kept apart by", dict(sorted(stats.refused.items())))

# %% [markdown]
# What the provider billed is what the handler counted:

# %%
if provider:
    chats = [row for row in provider.invoice if "chat" in row.endpoint]
    billed = sum(row.usd for row in chats[-after.calls :])
    print(billed == after.usd)
    provider.stop()

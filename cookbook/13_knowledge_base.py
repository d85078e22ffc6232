# %% [markdown]
# # A knowledge base that is never half updated
#
# Two regions, a source that changes, a store that loses writes, a loader that returns
# nothing, and a way back.

# %%
import tempfile
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings

from langchain_llmops import CachedEmbeddings, FaissStore, KnowledgeBaseSync
from langchain_llmops.knowledge import SyncFailedError, SyncRefusedError
from langchain_llmops.testing import LocalProvider

provider = LocalProvider().start()
embeddings = CachedEmbeddings(
    OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=provider.base_url,
        api_key="local",
        check_embedding_ctx_length=False,
    )
)


class Forgetful(InMemoryVectorStore):
    """Says yes to a write and forgets its last document."""

    forgets = False

    def add_documents(self, documents, ids=None, **kwargs):
        written = super().add_documents(documents, ids, **kwargs)
        if self.forgets:
            self.delete(written[-1:])
        return written


stores = {"eu": FaissStore(embeddings), "us": Forgetful(embeddings)}
folder = Path(tempfile.mkdtemp())
switches = []
kb = KnowledgeBaseSync(
    stores,
    manifest=f"sqlite:///{folder}/kb.db",
    embeddings=embeddings,
    volatile_metadata=["loaded_at"],
    on_switch=lambda switch: switches.append(switch.generation),
)

# %% [markdown]
# ## The first version

# %%
pages = {f"page-{n}": f"Rule {n}: ask before you change anything." for n in range(10)}


def load(loaded_at):
    for name, text in pages.items():
        yield Document(text, id=name, metadata={"loaded_at": loaded_at})


kb.apply(kb.plan(load(1)))
readers = {region: kb.reader(region, follow=True) for region in stores}
embedded = embeddings.stats().misses
print(kb.plan(load(2)))

# %% [markdown]
# Only the time of loading differs: nothing to do.
#
# ## A store that loses a write it acknowledged

# %%
pages["page-3"] = "Rule 3: nobody asks any more."
stores["us"].forgets = True
try:
    kb.apply(kb.plan(load(3)))
except SyncFailedError as error:
    print(error.region, "|", error.why)
for region, reader in readers.items():
    print(region, "|", reader.get_by_ids(["page-3"])[0].page_content)

# %% [markdown]
# Both regions are where they were. With the store repaired:

# %%
stores["us"].forgets = False
report = kb.apply(kb.plan(load(4)))
for region, reader in readers.items():
    print(region, "|", reader.get_by_ids(["page-3"])[0].page_content)
print(
    report.written,
    "document written;",
    embeddings.stats().misses - embedded,
    "embedded",
)

# %% [markdown]
# ## A loader that returns nothing

# %%
try:
    kb.apply(kb.plan([]))
except SyncRefusedError as error:
    print(error)

# %% [markdown]
# ## Back, and forth, and tidy

# %%
kb.rollback(1)
print(readers["us"].get_by_ids(["page-3"])[0].page_content)
kb.rollback(report.version)
print(kb.gc(keep=1))
print([str(found) for found in kb.verify().values()])
print(switches)

# %%
kb.close()
provider.stop()

# %% [markdown]
# # Texts that are too long
#
# A report does not fit the model, a log does not fit the prompt, and an answer stops in
# the middle of a sentence. Here each of these is made to fit, against a local provider:
# no key, no network.

# %%
from pydoc_data.topics import topics

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.stores import InMemoryByteStore
from langchain_openai import ChatOpenAI
from openai import InternalServerError

from langchain_llmops import (
    LongTextRunnable,
    TokenCounter,
    TokenTextSplitter,
    TokenTruncator,
    WindowAllocator,
    continue_truncated,
)
from langchain_llmops.testing import LocalProvider
from langchain_llmops.testing.faults import ServerError

counter = TokenCounter("gpt-4o-mini")
report = topics["import"] + topics["exceptions"] + topics["naming"]
counter.count(report)

# %% [markdown]
# ## Split it
#
# Every chunk is within the limit, and nothing is lost: joined, the chunks are the text.

# %%
splitter = TokenTextSplitter(512)
chunks = splitter.split_text(report)
sizes = [counter.count(chunk) for chunk in chunks]
print(len(chunks), "chunks, the largest of", max(sizes), "tokens")
print("lossless:", "".join(chunks) == report)

# %% [markdown]
# ## Keep what matters
#
# `query` keeps the sentences that have to do with a question. The marker says how much
# is missing.

# %%
truncator = TokenTruncator(120, "query", marker=" [{tokens} tokens removed] ")
print(truncator.invoke(report, query="Which exception does a failed import raise?"))

# %% [markdown]
# ## Plan the window
#
# System prompt and question get what they need, history and context share the rest.

# %%
provider = LocalProvider().start()
model = ChatOpenAI(
    model="gpt-4o-mini", base_url=provider.base_url, api_key="local", max_retries=0
)
allocator = WindowAllocator(model, window=4000)
allocator.allocate(system="Answer in one sentence.", question="What is a module?")

# %% [markdown]
# ## Work through all of it
#
# The step sees one segment at a time, with the end of the one before. The second
# request fails: the error comes through as it is.


# %%
class Progress(BaseCallbackHandler):
    def on_custom_event(self, name, data, **_):
        print(name, data)


prompt = ChatPromptTemplate.from_template(
    "Before: {context}\n\nContext: {text}\n\nQuestion: What raises ImportError?"
)
chain = LongTextRunnable(
    prompt | model | StrOutputParser(),
    TokenTextSplitter(1500),
    carry="tail",
    merge="list",
    max_concurrency=1,
    store=InMemoryByteStore(),
)
provider.inject(ServerError(nth=[2]))
try:
    chain.invoke(report, {"callbacks": [Progress()]})
except InternalServerError as error:
    print(type(error).__name__)

# %% [markdown]
# The same call again goes on from there: what was finished comes out of the store.

# %%
answers = chain.invoke(report, {"callbacks": [Progress()]})
len(answers), len(provider.invoice)

# %% [markdown]
# ## Complete an answer
#
# This provider tells a story of some hundred tokens, of which `max_tokens` lets 60
# through. Each further round repeats its last words; they are taken out at the joint.

# %%
story = " ".join(f"On day {n} the ship sailed {n * 7} miles." for n in range(20))


def tell(messages):
    if len(messages) == 1:
        return story
    place = len(messages[-2]["content"])
    return story[story.rfind(" ", 0, place - 30) + 1 :]


with LocalProvider(answer=tell) as narrator:
    brief = ChatOpenAI(
        model="gpt-4o-mini", base_url=narrator.base_url, api_key="local", max_tokens=60
    )
    print(brief.invoke("Tell it").text)
    whole = continue_truncated(brief).invoke("Tell it")
    rounds = len(narrator.invoice) - 1

whole.text == story, rounds, whole.usage_metadata["output_tokens"]

# %%
provider.stop()

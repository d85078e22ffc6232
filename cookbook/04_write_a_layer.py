# %% [markdown]
# # Write a layer
#
# A layer acts on every call of *one* model: before, around and after, in whichever way
# it is called. The model keeps its class, its tools and its tracing, so a chain, an
# agent or a graph takes it as it took the old one.
#
# Two layers are written here. One refuses prompts that are too long before they cost
# anything; the other tries again, in the open, when the provider says *not now*.

# %%
import time
from contextlib import aclosing

from langchain_core.exceptions import ModelError
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_llmops import ModelLayer, TokenCounter, with_layers
from langchain_llmops.models import without_client_retries
from langchain_llmops.testing import LocalProvider, RateLimited

provider = LocalProvider().start()
plain = without_client_retries(
    ChatOpenAI(model="gpt-4o-mini", base_url=provider.base_url, api_key="local")
)

# %% [markdown]
# ## Refuse: a layer that looks before
#
# Four methods, one for each way of calling. LangChain chooses among them (`invoke` may
# stream, `stream` may not), so a layer that must see every call has all four. Exactly
# one runs per call.


# %%
class PromptTooLongError(ValueError):
    """The prompt has more tokens than are allowed."""


class PromptLimit(ModelLayer):
    def __init__(self, max_tokens, counter):
        self.max_tokens = max_tokens
        self.counter = counter.load()

    def check(self, call):
        tokens = self.counter.count_messages(call.messages, call.kwargs.get("tools"))
        if tokens > self.max_tokens:
            raise PromptTooLongError(f"{tokens} tokens, {self.max_tokens} are allowed")

    def generate(self, call, handler):
        self.check(call)
        return handler(call)

    async def agenerate(self, call, handler):
        self.check(call)
        return await handler(call)

    def stream(self, call, handler):
        self.check(call)
        yield from handler(call)

    async def astream(self, call, handler):
        self.check(call)
        async with aclosing(handler(call)) as chunks:
            async for chunk in chunks:
                yield chunk


limited = with_layers(plain, PromptLimit(100, TokenCounter("gpt-4o-mini")))
print(limited.invoke("Is there tea?").text)
try:
    limited.invoke("Is there tea? " * 50)
except PromptTooLongError as error:
    print("refused:", error)
len(provider.requests)

# %% [markdown]
# One request reached the provider. The refused one was closed as a failed run, so a
# trace shows it; it cost nothing.
#
# ## Retry: a layer that goes in again
#
# `handler(call)` may be called more than once. LangChain's errors say whether another
# attempt makes sense (`is_retryable`). The sleep is an argument, so a test does not
# wait.


# %%
class Retry(ModelLayer):
    def __init__(self, attempts=3, sleep=time.sleep):
        self.attempts = attempts
        self.sleep = sleep

    def generate(self, call, handler):
        for attempt in range(1, self.attempts + 1):
            try:
                return handler(call)
            except ModelError as error:
                if not error.is_retryable or attempt == self.attempts:
                    raise
                self.sleep(0.1 * 2**attempt)
        raise AssertionError  # unreachable


provider.reset()
provider.inject(RateLimited(nth=(1, 2)))
waits = []
retry = Retry(sleep=waits.append)
model = with_layers(plain, retry, PromptLimit(100, TokenCounter("gpt-4o-mini")))
print(model.invoke("Is there tea?").text)
waits, [seen.status for seen in provider.requests]

# %% [markdown]
# ## What the model still is
#
# A `ChatOpenAI`, for everything that takes one. Tools are bound to the layered model,
# and the layers see the calls that the binding makes.


# %%
@tool
def in_stock(tea: str) -> int:
    """Return how many tins of a tea are in stock."""
    return len(tea)


provider.clear_faults()
with_tools = model.bind_tools([in_stock])
calls = with_tools.invoke("How many tins of 'sencha' are in stock?").tool_calls
isinstance(model, ChatOpenAI), [(call["name"], call["args"]) for call in calls]

# %%
provider.stop()

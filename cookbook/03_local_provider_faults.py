# %% [markdown]
# # What does my chain do when the provider does not?
#
# Rate limits, cut connections, broken events, a provider that is overloaded: all of it
# happens in production, and none of it in a test with a mocked model. `LocalProvider`
# is a real HTTP server on loopback; the real `ChatOpenAI` talks to it, with its real
# retries and time-outs. It fails when it is told to.

# %%
from json import JSONDecodeError

from langchain_core.exceptions import ModelError
from langchain_openai import ChatOpenAI

from langchain_llmops.models import without_client_retries
from langchain_llmops.testing import (
    Cut,
    Hang,
    LocalProvider,
    MalformedSSE,
    RateLimited,
    ServerError,
)

PROMPT = (
    "Context: Black tea is steeped for four minutes. Green tea takes two minutes.\n\n"
    "Question: How long is black tea steeped?"
)

provider = LocalProvider(seed=7).start()
model = ChatOpenAI(model="gpt-4o-mini", base_url=provider.base_url, api_key="local")
model.invoke(PROMPT).text

# %% [markdown]
# ## A rate limit that you never see
#
# `ChatOpenAI` retries by itself. The caller notices nothing, and nor does any callback:
# only the provider knows that there were three requests.

# %%
provider.reset()
provider.inject(RateLimited(nth=(1, 2), retry_after_s=0.01))
model.invoke(PROMPT)
[(seen.status, seen.fault) for seen in provider.requests]

# %% [markdown]
# Where each attempt must be seen (to count it, to limit it, to go to another model),
# take the client's retries away and retry in the open:

# %%
provider.clear_faults()
provider.inject(RateLimited(nth=(1,), retry_after_s=0.01))
single = without_client_retries(model)
try:
    single.invoke(PROMPT)
except ModelError as error:
    print(type(error).__name__)

# %% [markdown]
# ## Cut in the middle of an answer
#
# The tokens that were written are on the invoice, whether the reader got a whole
# sentence or not.

# %%
provider.clear_faults()
provider.reset()
provider.inject(Cut(at_token=4))
try:
    for chunk in single.stream(PROMPT):
        print(chunk.text, end="|")
except ModelError as error:
    print(type(error).__name__)

# %%
provider.wait_idle()
[(row.status, row.output_tokens, row.usd) for row in provider.invoice]

# %% [markdown]
# ## Broken events and a provider that says nothing

# %%
provider.clear_faults()
provider.inject(MalformedSSE(at_token=2, nth=(1,)), Hang(at_token=2, nth=(2,)))
impatient = ChatOpenAI(
    model="gpt-4o-mini",
    base_url=provider.base_url,
    api_key="local",
    timeout=0.5,
    max_retries=0,
)
for _ in range(2):
    try:
        for _chunk in impatient.stream(PROMPT):
            pass
    except (ModelError, JSONDecodeError) as error:
        print(type(error).__name__)

# %% [markdown]
# ## A fallback, put to the test
#
# One model is down for good, one works. The chain should answer, and the invoice should
# show that it was the second one.

# %%
provider.clear_faults()
provider.wait_idle()
provider.reset()
provider.inject(ServerError(model="gpt-4o", status=503))
primary = without_client_retries(
    ChatOpenAI(model="gpt-4o", base_url=provider.base_url, api_key="local")
)
chain = primary.with_fallbacks([single])
print(chain.invoke(PROMPT).text)
[(row.model, row.status) for row in provider.invoice]

# %% [markdown]
# ## One request in five fails, the same ones every time
#
# Chance comes from the provider's seed, a request's body and how often that body was
# sent, not from the clock. Two runs of a test meet the same faults, in whatever order
# requests arrive.


# %%
def outcome(seed):
    with LocalProvider(seed=seed, faults=[ServerError(probability=0.2)]) as flaky:
        client = ChatOpenAI(
            model="gpt-4o-mini", base_url=flaky.base_url, api_key="local", max_retries=0
        )
        questions = [f"Question {number}" for number in range(20)]
        results = client.batch(questions, return_exceptions=True)
    return "".join("x" if isinstance(one, Exception) else "." for one in results)


print(outcome(1))
print(outcome(1))
print(outcome(2))

# %%
provider.stop()

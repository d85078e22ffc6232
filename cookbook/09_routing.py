# %% [markdown]
# # One model that is many
#
# A router over three models of a provider that runs on this machine and fails on
# request. It is a chat model: tools, schemas, streams and agents work as with one.

# %%
from langchain.agents import create_agent
from langchain_core.exceptions import ModelError
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    Candidate,
    CostCallbackHandler,
    FailoverPolicy,
    ModelRouter,
)
from langchain_llmops.routing import cheapest_capable, partial_message
from langchain_llmops.testing import Cut, Hang, LocalProvider, ServerError

provider = LocalProvider().start()
ASK = "Context: Ada wrote it in May. Bob read it.\n\nQuestion: Who wrote it?"


def openai(name: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=name, base_url=provider.base_url, api_key="local", stream_usage=True
    )


def candidates() -> list[Candidate]:
    return [
        Candidate(openai("gpt-4o-mini"), tier="everyday"),
        Candidate(openai("gpt-4o"), tier="everyday"),
        Candidate(openai("gpt-4.1"), tier="spare"),
    ]


def routed(**policy) -> ModelRouter:
    tiers = FailoverPolicy(tiers=["everyday", "spare"], **policy)
    return ModelRouter(candidates(), cheapest_capable(), tiers)


# %% [markdown]
# ## Whom would a call go to?

# %%
router = routed()
print(router.explain(ASK))

# %% [markdown]
# ## An outage
#
# The first model answers with errors. After three of them its breaker opens, and calls
# stop going there at all.

# %%
provider.inject(ServerError(model="gpt-4o-mini"))
costs = CostCallbackHandler()
for turn in range(12):
    router.invoke(f"{ASK} {turn}", {"callbacks": [costs]})

wasted = sum(request.model == "gpt-4o-mini" for request in provider.requests)
print(f"12 answers, {wasted} calls wasted on the model that is down")
print(f"billed {provider.invoiced_usd} USD, counted {costs.report().usd} USD")
print(router.explain(ASK))

# %% [markdown]
# ## A stream that breaks off
#
# By default the error is raised, and it knows what had been handed out.

# %%
provider.clear_faults()
provider.inject(Cut(model="gpt-4o-mini", at_token=3))
router = routed()
try:
    for chunk in router.stream(ASK):
        print(chunk.text, end="|")
except ModelError as error:
    print("\nbroke off after:", partial_message(error).text)

# %% [markdown]
# With `restart` another model answers from the start, and an explicit mark says that
# what came before is void.

# %%
text = ""
for chunk in routed(mid_stream="restart").stream(ASK):
    for event in chunk.response_metadata.get("routing_events", ()):
        print(event)
        if event["event"] == "restart":
            text = ""
    text += chunk.text
print(text)

# %% [markdown]
# ## A model that hangs
#
# An attempt gets a limit for its first token; then the next candidate is asked.

# %%
provider.clear_faults()
provider.inject(Hang(model="gpt-4o-mini"))
answer = routed(attempt_timeout_s=0.5).invoke(ASK)
print(answer.response_metadata["routing"])

# %% [markdown]
# ## The model of an agent

# %%
provider.clear_faults()


@tool
def lookup(name: str) -> str:
    """Find an author."""
    return f"{name} wrote it."


agent = create_agent(routed(), tools=[lookup])
state = agent.invoke({"messages": [("user", "Call lookup to find the author.")]})
print(state["messages"][-1].text)

# %%
provider.stop()

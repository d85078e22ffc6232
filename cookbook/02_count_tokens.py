# %% [markdown]
# # Count tokens before the provider does
#
# Three questions come up in every chat application: does the prompt still fit, what
# will the call cost, and where can the conversation be cut. Each needs a token count
# *before* the call. Here the counts are checked against a provider that keeps an
# invoice: a local one, so that this notebook needs no key and no network.

# %%
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    trim_messages,
)
from langchain_openai import ChatOpenAI

from langchain_llmops import TokenCounter
from langchain_llmops.testing import LocalProvider

counter = TokenCounter("gpt-4o-mini")
counter.count("Green tea is steeped for two minutes."), counter.exact

# %% [markdown]
# ## Is it right?
#
# `LocalProvider` bills with a counter of its own. What we counted before the call is
# what stands on the invoice after it.

# %%
conversation = [
    SystemMessage("You work in a tea shop. Answer in one sentence."),
    HumanMessage(
        "Context: Green tea is steeped for two minutes.\n\nQuestion: How long?"
    ),
]
expected = counter.count_messages(conversation)

with LocalProvider() as provider:
    model = ChatOpenAI(model="gpt-4o-mini", base_url=provider.base_url, api_key="local")
    answer = model.invoke(conversation)
    billed = provider.invoice[-1].input_tokens

expected, billed

# %% [markdown]
# ## A conversation that grows
#
# Counting a chat again at every turn costs more with each turn. A running count looks
# at the new message only, and stays right when an earlier one is edited or dropped.

# %%
running = counter.running(conversation)
for turn in range(1, 201):
    running.append(HumanMessage(f"And what about tea number {turn}?"))
    running.append(AIMessage("The same, only a little longer."))

running.total, len(running)

# %%
del running[2:102]  # the oldest turns go, the system prompt stays
running.total, len(running)

# %% [markdown]
# ## What fits?
#
# LangChain's `trim_messages` takes the counter as it is.

# %%
history = [
    SystemMessage("You work in a tea shop."),
    *(HumanMessage(f"Tell me about tea number {turn}, please.") for turn in range(50)),
]
kept = trim_messages(
    history,
    max_tokens=100,
    token_counter=counter.count_messages,
    strategy="last",
    include_system=True,
)
len(kept), counter.count_messages(kept)

# %% [markdown]
# ## When it cannot be exact
#
# Other providers publish no tokenizer. Then the count is an estimate and says so, with
# a bound that the true figure does not exceed: fit the window with `upper_bound`,
# forecast with `tokens`.

# %%
text = "Grüner Tee zieht zwei Minuten. 绿茶泡两分钟。 緑茶は二分間蒸らします。"
for name in ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash", "a-model-of-ours"):
    count = TokenCounter(name).measure(text)
    print(f"{name:18} exact={count.exact!s:6} {count.tokens <= count.upper_bound = }")

# %% [markdown]
# Text that breaks other counters is text here:

# %%
counter.count("What does <|endoftext|> mean?")

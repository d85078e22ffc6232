# %% [markdown]
# # Give a chain a memory that fits
#
# A chain that forgets is given a memory. The conversation grows far beyond the window,
# and follow-up questions still find what was said at its beginning.
#
# Without `OPENAI_API_KEY` a local provider answers. With a key the notebook calls
# OpenAI, for less than a cent.

# %%
import os

from langchain_core.messages import trim_messages
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    ConversationMemory,
    ConversationStore,
    TokenCounter,
    WindowPolicy,
    with_memory,
)
from langchain_llmops.testing import LocalProvider

provider = None if os.environ.get("OPENAI_API_KEY") else LocalProvider().start()
openai = {"base_url": provider.base_url, "api_key": "local"} if provider else {}
model = ChatOpenAI(model="gpt-4o-mini", **openai)

# %% [markdown]
# ## A conversation

# %%
memory = ConversationMemory(ConversationStore("memory://"), WindowPolicy(1_000))
chat = with_memory(model, memory)
session = {"configurable": {"thread_id": "ann"}}

chat.invoke("My cat is called Ada and she is allergic to fish.", session)
for day in range(60):
    memory.begin_turn("ann", f"Day {day}: rain, and I walked {day} miles by the sea.")
    memory.end_turn("ann", "That sounds like a calm day. Did you see any boats?")

# %% [markdown]
# ## What the model sees for a follow-up question
#
# The log is three times as long as the window. The newest messages alone would have
# lost the cat.

# %%
counter = TokenCounter("gpt-4o")
log = memory.history("ann").messages
window = memory.policy.select(log, "What must my cat not eat?")
newest = trim_messages(log, max_tokens=1_000, token_counter=counter.count_messages)
for name, messages in {"log": log, "window": window, "newest": newest}.items():
    cat = any("allergic" in message.text for message in messages)
    print(f"{name:7} {counter.count_messages(messages):5} tokens, the cat is in: {cat}")

# %%
print(chat.invoke("What must my cat not eat?", session).text)

# %% [markdown]
# ## Summaries
#
# With a summarizer, what grows older than the window is summarized. Originals can
# always be read back.

# %%
store = ConversationStore("memory://")
summarized = ConversationMemory(
    store, WindowPolicy(400), lambda messages: f"{len(messages)} messages of calm days."
)
for message in log:
    if message.type == "human":
        summarized.begin_turn("ann", message.text)
    else:
        summarized.end_turn("ann", message.text)
for summary in store.summaries("ann"):
    print(f"{summary.start:3}-{summary.stop:3} level {summary.level}: {summary.text}")
print(store.summaries("ann")[0].facts[0].text)

# %%
if provider is not None:
    provider.stop()

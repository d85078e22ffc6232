# %% [markdown]
# # Budgets that hold
#
# A budget must hold when many calls come at once, when streams are cut short, and when
# a model fails over to another. Here all of that happens to a real HTTP server on this
# machine, which writes an invoice.

# %%
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    Budget,
    BudgetExceededError,
    BudgetLayer,
    CacheLayer,
    TieredCache,
    with_layers,
)
from langchain_llmops.models import without_client_retries
from langchain_llmops.testing import LocalProvider, RateLimited

provider = LocalProvider().start()
plain = without_client_retries(
    ChatOpenAI(model="gpt-4o-mini", base_url=provider.base_url, api_key="local")
)
acme = {"metadata": {"tenant": "acme", "feature": "chat"}}

# %% [markdown]
# ## A hundred calls at once on a budget for ten
#
# First the way of most tutorials: look at a counter before the call, add to it after.


# %%
class CheckThenAdd(BaseCallbackHandler):
    raise_error = True
    run_inline = True
    used = 0

    def on_chat_model_start(self, *_, **__):
        if self.used >= 10:
            raise RuntimeError("the budget is spent")

    def on_llm_end(self, *_, **__):
        self.used += 1


def hundred(model, config):
    def ask(_):
        try:
            model.invoke("Is there tea?", config)
        except (BudgetExceededError, RuntimeError):
            return "refused"
        return "answered"

    with ThreadPoolExecutor(100) as pool:
        return Counter(pool.map(ask, range(100)))


outcome = hundred(plain, {**acme, "callbacks": [CheckThenAdd()]})
outcome, len(provider.requests)

# %% [markdown]
# Far more than ten went out: each looked before the others had ended. Now with a
# reservation.

# %%
provider.reset()
budget = Budget(limit_calls=10, scope="tenant:{tenant}", soft_limits=())
limited = with_layers(plain, BudgetLayer(budget))
outcome = hundred(limited, acme)
outcome, len(provider.requests)

# %% [markdown]
# ## Dollars, and the invoice
#
# Before a call its input is counted and its output estimated; afterwards the provider's
# own numbers take the place of that. What is settled is what the invoice says.

# %%
provider.reset()
dollars = Budget(limit_usd="0.01", scope="tenant:{tenant}")
priced = with_layers(plain, BudgetLayer(dollars))
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: priced.invoke("Is there tea?", acme), range(8)))
status = dollars.status({"tenant": "acme"})
status.settled, provider.invoiced_usd

# %% [markdown]
# A stream whose reader leaves is charged what was reserved for it: the provider may go
# on writing. A request that the provider refused costs nothing.

# %%
for _ in priced.stream("Tell me about tea.", acme):
    break
provider.inject(RateLimited(nth=(1,)))
try:
    priced.invoke("Is there tea?", acme)
except ModelError as error:
    print(type(error).__name__)
provider.clear_faults()
after = dollars.status({"tenant": "acme"})
print(after.unsettled, "unsettled; settled as before:", after.settled == status.settled)

# %% [markdown]
# ## With a cache and a fallback
#
# Hits are free, even when nothing is left. A fallback with the same budget is not spent
# on.

# %%
provider.reset()
one = Budget(limit_calls=1, scope="tenant:{tenant}", soft_limits=())
first = with_layers(plain, CacheLayer(TieredCache()), BudgetLayer(one))
second = with_layers(plain, BudgetLayer(one))
chain = first.with_fallbacks([second])
print(
    chain.invoke("Is there tea?", acme).text == chain.invoke("Is there tea?", acme).text
)
try:
    chain.invoke("Is there coffee?", acme)
except BudgetExceededError as error:
    print(error.scope, error.used, "of", error.limit)
len(provider.requests)

# %% [markdown]
# ## An agent that stops
#
# Each step of a tool loop is a call. Soft limits tell before the end comes.


# %%
@tool
def in_stock(tea: str) -> int:
    """Return how many tins of a tea are in stock."""
    return len(tea)


told = []
steps = Budget(
    limit_calls=2,
    scope="feature:{feature}",
    soft_limits=(0.5,),
    on_soft=lambda status, share: told.append((status.scope, share)),
)
with_tools = with_layers(plain, BudgetLayer(steps)).bind_tools([in_stock])
messages = [("user", "How many tins of 'sencha' are in stock?")]
for _ in range(3):
    try:
        reply = with_tools.invoke(messages, acme)
    except BudgetExceededError as error:
        print("stopped:", error.scope)
        break
    messages.append(reply)
    messages += [in_stock.invoke(call) for call in reply.tool_calls]
told, steps.pressure({"feature": "chat"})

# %%
provider.stop()

# %% [markdown]
# # Introduce a semantic cache: look, label, calibrate, serve
#
# A semantic cache gives a question the answer to another one that asks the same. This
# notebook introduces one the careful way. First it only looks (shadow mode). Then its
# near pairs are labelled. Then it is calibrated to a share of wrong hits that is
# acceptable, and only then does it serve.
#
# Without `OPENAI_API_KEY` a local provider answers (nothing is downloaded, nothing is
# paid). With a key the same notebook calls OpenAI, for less than ten cents.

# %%
import json
import logging
import os
from importlib.resources import files

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_llmops import CacheLayer, SemanticCache, TieredCache, with_layers
from langchain_llmops.testing import LocalProvider

provider = None if os.environ.get("OPENAI_API_KEY") else LocalProvider().start()
openai = {"base_url": provider.base_url, "api_key": "local"} if provider else {}

# %% [markdown]
# ## The traffic
#
# The log of `llmops demo`, without conversations: single questions about Python. Some
# ask what was asked before; some only look like it (`//` after `/`). The log says which
# is which. Two thirds of it are for looking, the rest is for serving.

# %%
log = files("langchain_llmops.cli").joinpath("data/questions.jsonl")
rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
openings = {}
for row in rows:
    openings.setdefault(row["session"], row)
rows = list(openings.values())
cut = len(rows) * 2 // 3
early, late = rows[:cut], rows[cut:]

meanings = {}  # question to the id of the first row that asks the same
by_id = {row["id"]: row for row in rows}
for row in rows:
    origin = by_id.get(row.get("of"))
    same = origin is not None and row["kind"] in {"repeat", "paraphrase"}
    meanings.setdefault(
        row["question"], meanings[origin["question"]] if same else row["id"]
    )
print(f"{len(early)} questions to look at, {len(late)} to serve")

# %% [markdown]
# ## Look
#
# In shadow mode exact hits are served and nothing else. A near question goes to the
# model, and its answer is compared with the one that the cache would have given.

# %%
embeddings = OpenAIEmbeddings(
    model="text-embedding-3-small", check_embedding_ctx_length=False, **openai
)
prompt = ChatPromptTemplate(
    [("system", "You explain Python, in short words."), ("human", "{question}")]
)
model = ChatOpenAI(model="gpt-4o-mini", temperature=0, max_tokens=200, **openai)
tiers = TieredCache()

shadow = SemanticCache(embeddings, mode="shadow", tier=tiers)
chain = prompt | with_layers(model, CacheLayer(shadow))
for row in early:
    chain.invoke({"question": row["question"]})

seen = shadow.stats()
print(f"{seen.tier.hits} exact hits")
print(f"{seen.would_serve} semantic hits at a cosine of 0.92, if it had served")
print("kept apart by", dict(sorted(seen.refused.items())))

# %% [markdown]
# `shadow_hits()` has every near pair, those below the threshold too. Most hits differ
# in spelling only. The interesting ones are these:

# %%
near = [hit for hit in shadow.shadow_hits() if hit.similarity < 0.97]
for hit in sorted(near, key=lambda hit: -hit.similarity)[:7]:
    print(f"{hit.similarity:.3f}  {hit.question}\n       {hit.stored}")

# %% [markdown]
# ## Label
#
# Here the log knows which questions mean the same. In your house somebody reads them:
# an hour for two hundred pairs. `hit.agreed` compares the words of both answers, which
# helps to sort the work and does not replace it.


# %%
def means_the_same(one, other):
    return meanings[one] == meanings[other]


pairs = [
    (hit.question, hit.stored, means_the_same(hit.question, hit.stored))
    for hit in shadow.shadow_hits()
]
right = sum(same for _, _, same in pairs)
print(f"{len(pairs)} pairs, {right} of them ask the same")

# %% [markdown]
# ## Calibrate
#
# How many of the served hits may be wrong? The stricter the rate, the more evidence it
# takes. Where the pairs do not carry it the cache **abstains**: it goes on with exact
# hits, which costs what it costs today and is never wrong.

# %%
logging.getLogger("langchain_llmops").setLevel(logging.ERROR)  # it warns, and we print
for rate in (0.02, 0.05, 0.10, 0.20):
    cache = SemanticCache(embeddings, max_false_hit_rate=rate, tier=tiers)
    found = cache.calibrate(pairs)
    told = "abstains"
    if not found.abstains:
        told = f"serves from {found.threshold:.3f} on: {found.served} pairs, "
        told += f"{found.wrong} wrong (at most {found.high:.0%})"
    print(f"at most {rate:.0%} wrong: {told}")

# %% [markdown]
# ## Serve
#
# The last one serves the rest of the log. Every hit names its similarity; what it was
# answered from is known here because the log knows what each question means.

# %%
chain = prompt | with_layers(model, CacheLayer(cache))
answers = {}  # answer to the meanings it was first given for
for row in early:
    text = chain.invoke({"question": row["question"]}).text  # exact hits, all of them
    answers.setdefault(text, set()).add(meanings[row["question"]])

hits, wrong, last = {"exact": 0, "semantic": 0}, 0, None
for row in late:
    message = chain.invoke({"question": row["question"]})
    mark = message.response_metadata.get("cache")
    meaning = meanings[row["question"]]
    if mark:
        hits[mark["kind"]] += 1
        wrong += meaning not in answers[message.text]
        last = mark["hit_id"] if mark["kind"] == "semantic" else last
    answers.setdefault(message.text, set()).add(meaning)
print(f"{hits} of {len(late)} questions, {wrong} of them wrong")

# %% [markdown]
# ## What users say
#
# A wrong hit is taken out of service by `feedback`, and becomes a labelled pair for the
# next calibration.

# %%
if last:
    cache.feedback(last, correct=False)  # let us say that somebody complained
    print(cache.stats().quarantined, "out of service;", "new pair:", *cache.labels())

# %%
if provider:
    provider.stop()

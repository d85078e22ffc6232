"""memory.history: the log for code that wants a BaseChatMessageHistory."""

from __future__ import annotations

import subprocess
import sys

from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmops import ConversationMemory, WindowPolicy


async def test_it_is_the_whole_log_never_the_window(store):
    memory = ConversationMemory(store, WindowPolicy(20))
    history = memory.history("ann")
    history.add_messages([HumanMessage(f"message {n}") for n in range(50)])
    await history.aadd_messages([AIMessage("last")])
    assert len(history.messages) == len(await history.aget_messages()) == 51
    await history.aclear()
    assert history.messages == []
    history.add_user_message("again")
    history.clear()
    assert await memory.history("ann").aget_messages() == []


def test_it_is_a_snapshot_that_other_turns_do_not_move(store):
    memory = ConversationMemory(store, WindowPolicy(500))
    history = memory.history("ann")
    assert history.messages == []
    store.append("ann", [HumanMessage("from elsewhere")])
    history.add_messages([HumanMessage("mine")])
    assert [m.text for m in history.messages] == ["mine"]
    history.messages.clear()
    assert len(history.messages) == 1
    assert len(memory.history("ann").messages) == 2


def test_the_deprecated_module_is_loaded_only_for_those_who_ask():
    code = (
        "import sys; from langchain_llmops.memory import ConversationMemory; "
        "print('langchain_llmops.memory.history_adapter' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

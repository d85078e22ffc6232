"""`llmops demo`: one RAG chain over real documents, without and with a cache."""

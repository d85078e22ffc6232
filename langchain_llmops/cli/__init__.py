"""The command line: `llmops demo`, `llmops provider`, `llmops doctor`."""

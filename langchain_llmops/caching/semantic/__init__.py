"""The semantic cache: find a question that means the same, and know when not to."""

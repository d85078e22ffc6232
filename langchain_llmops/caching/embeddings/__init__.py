"""Embeddings that are computed once."""

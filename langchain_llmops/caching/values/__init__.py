"""What is kept of an answer, and which answers are kept at all."""

"""What of a request decides its answer, and for whom."""

"""How much a prompt needs the strong model, learnt from the user's own logs."""

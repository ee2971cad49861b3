"""What a run has left in its folder, and what its page says of it."""

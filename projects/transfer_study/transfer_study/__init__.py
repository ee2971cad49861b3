"""A study in small: what pretraining is worth with few labels."""

"""A trained tower in people's hands."""

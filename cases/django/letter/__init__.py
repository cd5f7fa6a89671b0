"""A letter that is sent at most once a minute, whoever asks for it."""

"""The language models of the configuration: which providers there are, and how each is asked."""

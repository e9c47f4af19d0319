"""Outgoing webhooks: who wants which events, and delivering them."""

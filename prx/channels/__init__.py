"""Messaging channels as supervised units."""

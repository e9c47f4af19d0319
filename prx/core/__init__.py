"""The small protocols and types through which the other packages meet; no third party in here."""

"""Where requests may go: URLs taken apart, what addresses belong to, and the rules for both. Nothing is sent here."""

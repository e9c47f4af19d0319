"""The log book: every line numbered, kept on disk and in memory, searched and followed."""

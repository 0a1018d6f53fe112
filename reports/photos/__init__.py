"""Photos that are worth a look: the facts in the records about them, for the report and for scripts."""

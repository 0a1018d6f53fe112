"""The photos that a person should look at: the facts about them in the records, for the report and for scripts."""

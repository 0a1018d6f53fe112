"""Photos that are worth a look: what the records say of them, and how the report and scripts get it."""

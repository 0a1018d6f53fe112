"""Models, endpoint configurations and endpoints: from CreateModel to the answer of an invocation."""

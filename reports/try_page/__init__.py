"""The page of `byoc try`: drop photos on it, see the model's answers, and keep the photos that it names wrongly.

`server` is the HTTP server, `guard` decides which requests it takes, `page` writes the HTML. `kept` holds the photos that are
kept. `activation` is a program of its own, the only part of `reports` that imports torch, and `looker` asks it.
"""

"""The page of `byoc try`: the user drops photos on it, sees the model's answers, and keeps the photos that are predicted wrongly.

`server` is the HTTP server, `guard` decides which requests the server accepts, `page` writes the HTML, `kept` keeps photos.
`activation` is a separate program and the only part of `reports` that imports torch. `looker` sends requests to that program.
"""

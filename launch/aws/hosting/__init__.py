"""Models, endpoints and transform jobs: deploy, update, ask, roll back, delete."""

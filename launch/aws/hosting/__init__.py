"""Models, endpoints and transform jobs: deploy, update, predict, roll back, delete."""

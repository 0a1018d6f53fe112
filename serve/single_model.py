"""An endpoint of one model, which is loaded at the start and answers at /invocations."""

from aiohttp import web

from classifier.errors import UserError
from serve.front import NOT_LOADED, invoke
from serve.model_server import ModelServer
from serve.model_workers import ModelWorkers
from serve.settings import Settings


class SingleModel:
    """The endpoint's one model."""

    def __init__(self, server: ModelServer, settings: Settings) -> None:
        self.model = ModelWorkers("m", settings.model_dir.resolve(), server, settings)

    @property
    def settings(self) -> Settings:
        """The settings in use. If the preparation finds that no GPU can serve, these are the settings for a processor."""
        return self.model.settings

    def all_models(self) -> list[ModelWorkers]:
        """Return the model."""
        return [self.model]

    def add_routes(self, app: web.Application) -> None:
        """Add the route for requests."""
        app.router.add_post("/invocations", self._invocations)

    async def start(self) -> str:
        """Load the model and return a clause for the log; raises UserError when it cannot be served."""
        await self.model.load()
        return "the model's code is loaded" if self.model.code else "the model is loaded and passed its self-test"

    def not_ready(self) -> str | None:
        """Return why no request would be answered now, or None."""
        if self.model.ready:
            return None
        failure = self.failure()
        return self.model.without_paths(str(failure), "the model") if failure else NOT_LOADED

    def failure(self) -> UserError | None:
        """Return why no request will ever be answered; None if requests may still be answered."""
        return self.model.failure()

    async def _invocations(self, request: web.Request) -> web.Response:
        return await invoke(request, self.model)

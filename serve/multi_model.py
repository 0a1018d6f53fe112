"""An endpoint of many models. The platform loads, lists, shows, unloads and invokes them by name (its contract: mms-container-apis)."""

import asyncio
import itertools
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

from aiohttp import web

from classifier.errors import UserError
from classifier.guard_photos import GUARD
from serve.front import FRONT, STOPPING, error, invoke
from serve.memory import NoRoom, memory_left, no_room
from serve.model_server import ModelServer
from serve.model_workers import ModelWorkers
from serve.settings import MB, Settings

PAGE = 100  # models on a page of the list, unless the model server's own parameter `limit` asks for fewer
# Memory planned for a worker: a part that is the same for all models (measured: 190 to 260 MB), and three times the bytes of the model's
# weights (docs/serving.md).
WORKER_BYTES, TIMES_WEIGHTS = 260 * MB, 3
DISK_BYTES = 10 * MB  # the bytes that a model's files need on the disk besides its weights


class MultiModel:
    """The models of the endpoint, by the names that the platform gave them."""

    def __init__(self, server: ModelServer, settings: Settings) -> None:
        self.settings = settings
        self.models: dict[str, ModelWorkers] = {}
        self.started = False  # whether the model server can load models
        self._server = server
        self._loading: set[str] = set()
        self._numbers = itertools.count()
        self._needs: dict[ModelWorkers, int] = {}  # the bytes of memory planned for each model

    def all_models(self) -> list[ModelWorkers]:
        """Return the models that are loaded."""
        return list(self.models.values())

    def add_routes(self, app: web.Application) -> None:
        """Add the routes that load, list, show, unload and invoke models."""
        app.router.add_post("/models", self._load)
        app.router.add_get("/models", self._list)
        app.router.add_get("/models/{name}", self._show)
        app.router.add_delete("/models/{name}", self._unload)
        app.router.add_post("/models/{name}/invoke", self._invoke)
        app.router.add_post("/invocations", self._invocations)

    async def start(self) -> str:
        """Return a clause for the log when models can be loaded; raises UserError when the model server does not start."""
        await self._server.started()
        self.started = True
        return f"models are loaded from {self.settings.models_dir}"

    def not_ready(self) -> str | None:
        """Return why no model could be loaded now, or None."""
        return self._server.failure() or (None if self.started else "the model server has not started yet")

    def failure(self) -> UserError | None:
        """Return why no model will ever be loaded; None if models may still be loaded."""
        gone = self._server.failure()
        return UserError(gone) if gone else None

    async def _load(self, request: web.Request) -> web.Response:
        try:
            order = json.loads(await request.read())
            name, url = order["model_name"], order["url"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return error(request, 400, 'the body must be {"model_name": "...", "url": "..."}')
        try:
            folder = self._folder(name, url)
        except UserError as problem:
            return error(request, 400, str(problem))
        front = request.app[FRONT]
        if front.draining:
            return error(request, 503, STOPPING)
        if name in self.models or name in self._loading:
            return error(request, 409, f"the model {name} is already loaded")
        task = asyncio.current_task()
        assert task is not None
        self._loading.add(name)
        front.in_flight.add(task)  # so that the front cancels it when the server stops
        try:
            return await self._load_from(request, name, folder)
        except asyncio.CancelledError:
            if not front.draining:
                raise
            task.uncancel()
            return error(request, 503, STOPPING)
        finally:
            front.in_flight.discard(task)
            self._loading.discard(name)

    async def _load_from(self, request: web.Request, name: str, folder: Path) -> web.Response:
        needed = self.settings.workers * (WORKER_BYTES + TIMES_WEIGHTS * _bytes(folder))
        # The smaller one of the limit for all models and the memory that the machine has left.
        left = min(memory_left(), self.settings.memory - sum(self._needs.values()))
        disk = shutil.disk_usage(self._server.folder).free
        for what, takes, has in (("memory", needed, left), ("the disk", _bytes(folder) + DISK_BYTES, disk)):
            if takes > has:
                message = f"the model {name} takes about {takes // MB:,} MB of {what} and {has // MB:,} MB are left"
                return error(request, 507, f"{message}; unload others")
        model = ModelWorkers(f"m{next(self._numbers)}", folder, self._server, self.settings)
        self._needs[model] = needed
        try:
            await model.load()
        except BaseException as problem:
            if request.app[FRONT].draining and isinstance(problem, asyncio.CancelledError):
                raise  # nothing to unload: the workers end with the model server
            await self._forget(model)
            if isinstance(problem, UserError):
                status = 507 if isinstance(problem, NoRoom) else 400
                return error(request, status, model.without_paths(str(problem), name))
            if no_room(problem):
                logging.exception("the model %s cannot be loaded", name)
                return error(request, 507, f"the model {name} found no room in memory or on the disk; unload others")
            raise
        self.models[name] = model
        return web.json_response({"status": f"the model {name} is loaded"})

    async def _list(self, request: web.Request) -> web.Response:
        token, limit = request.query.get("next_page_token", ""), request.query.get("limit", "")
        page = min(PAGE, int(limit)) if re.fullmatch("[1-9][0-9]{0,5}", limit) else PAGE
        # A page begins after the previous page's last model, even if models were loaded or unloaded in between.
        names = sorted(name for name in self.models if name > token)
        answer: dict[str, Any] = {"models": [self._described(name) for name in names[:page]]}
        if len(names) > page:
            answer["nextPageToken"] = names[page - 1]
        return web.json_response(answer)

    async def _show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response(self._described(name)) if name in self.models else _not_loaded(request)

    async def _unload(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        model = self.models.pop(name, None)
        if model is None:
            return _not_loaded(request)
        await asyncio.shield(self._forget(model))  # continues to its end even if the client does not wait for it
        return web.json_response({"status": f"the model {name} is unloaded"})

    async def _invoke(self, request: web.Request) -> web.Response:
        model = self.models.get(request.match_info["name"])
        return await invoke(request, model) if model else _not_loaded(request)

    async def _invocations(self, request: web.Request) -> web.Response:
        return error(request, 404, "this is a multi-model endpoint; use /models/NAME/invoke")

    async def _forget(self, model: ModelWorkers) -> None:
        """Unload a model; its planned memory counts as taken until its workers have ended."""
        try:
            await model.unload()
            if not self.settings.keep_worker_files:
                await asyncio.to_thread(shutil.rmtree, model.folder, ignore_errors=True)
        finally:
            del self._needs[model]

    def _folder(self, name: Any, url: Any) -> Path:
        """Return the folder in which the platform put a model; raises UserError for anything except MODELS/<name>/model."""
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", name):
            raise UserError(f"model_name {str(name)[:60]!r} must be letters, digits, dots, dashes and underscores")
        expected = self.settings.models_dir / name / "model"
        if url not in (str(expected), f"{expected}/"):
            raise UserError(f"url {str(url)[:200]!r} must be {expected}")
        if expected.is_symlink() or expected.parent.is_symlink() or not expected.is_dir():
            raise UserError(f"{expected} is not a folder; links are not followed")
        return expected

    def _described(self, name: str) -> dict[str, str]:
        return {"modelName": name, "modelUrl": str(self.models[name].model_dir)}


def _bytes(folder: Path) -> int:
    """Return the bytes of a model's weights."""
    return sum(path.lstat().st_size for path in folder.glob("*.safetensors") if path.name != GUARD)


def _not_loaded(request: web.Request) -> web.Response:
    return error(request, 404, f"the model {request.match_info['name'][:100]} is not loaded")

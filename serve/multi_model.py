"""The routes of a multi-model endpoint: load, list, show, unload and invoke (contract of the platform's mms-container-apis)."""

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
from serve.front import FRONT, Front, error, invoke
from serve.memory import NoRoom, memory_left, no_room
from serve.model import Model
from serve.settings import MB

PAGE = 100  # models on a page of the list, unless the model server's own parameter `limit` asks for fewer
# A worker's own memory and its model's: measured 190 to 260 MB and three times the weights' bytes (docs/serving.md).
WORKER_BYTES, TIMES_WEIGHTS = 260 * MB, 3
DISK_BYTES = 10 * MB  # what is written of a model beside its weights


def add_routes(app: web.Application, store: Path) -> None:
    """Add the routes; models are laid out in `store`."""
    models = _Models(app[FRONT], store)
    app.router.add_post("/models", models.load)
    app.router.add_get("/models", models.list)
    app.router.add_get("/models/{name}", models.show)
    app.router.add_delete("/models/{name}", models.unload)
    app.router.add_post("/models/{name}/invoke", models.invoke)


class _Models:
    def __init__(self, front: Front, store: Path) -> None:
        self._front, self._store = front, store
        self._loading: set[str] = set()
        self._numbers = itertools.count()
        self._needs: dict[Model, int] = {}

    async def load(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
            name, url = asked["model_name"], asked["url"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return error(request, 400, 'the body must be {"model_name": "...", "url": "..."}')
        try:
            folder = self._folder(name, url)
        except UserError as problem:
            return error(request, 400, str(problem))
        if self._front.draining:
            return error(request, 503, "the server is stopping")
        if name in self._front.models or name in self._loading:
            return error(request, 409, f"the model {name} is already loaded")
        task = asyncio.current_task()
        assert task is not None
        self._loading.add(name)
        self._front.in_flight.add(task)  # which the front gives up when it stops
        try:
            return await self._load(request, name, folder)
        except asyncio.CancelledError:
            if not self._front.draining:
                raise
            task.uncancel()
            return error(request, 503, "the server is stopping")
        finally:
            self._front.in_flight.discard(task)
            self._loading.discard(name)

    async def _load(self, request: web.Request, name: str, folder: Path) -> web.Response:
        settings = self._front.settings
        needed = settings.workers * (WORKER_BYTES + TIMES_WEIGHTS * _bytes(folder))
        # The limit given for all models, or what the machine has left, whichever is tighter.
        left = min(memory_left(), settings.memory - sum(self._needs.values()))
        disk = shutil.disk_usage(self._store.parent).free
        for what, takes, has in (("memory", needed, left), ("the disk", _bytes(folder) + DISK_BYTES, disk)):
            if takes > has:
                message = f"the model {name} takes about {takes // MB:,} MB of {what} and {has // MB:,} MB are left"
                return error(request, 507, f"{message}; unload others")
        model = Model(f"m{next(self._numbers)}", folder, self._store, self._front.server, settings)
        self._needs[model] = needed
        try:
            await model.load()
        except BaseException as problem:
            if self._front.draining and isinstance(problem, asyncio.CancelledError):
                raise  # the workers end with the model server
            await self._forget(model)
            if isinstance(problem, UserError):
                status = 507 if isinstance(problem, NoRoom) else 400
                return error(request, status, model.without_paths(str(problem), name))
            if no_room(problem):
                logging.exception("the model %s cannot be loaded", name)
                return error(request, 507, f"the model {name} found no room in memory or on the disk; unload others")
            raise
        self._front.models[name] = model
        return web.json_response({"status": f"the model {name} is loaded"})

    async def list(self, request: web.Request) -> web.Response:
        token, limit = request.query.get("next_page_token", ""), request.query.get("limit", "")
        page = min(PAGE, int(limit)) if re.fullmatch("[1-9][0-9]{0,5}", limit) else PAGE
        # A page begins after the model that ended the last one, whichever were loaded or unloaded since.
        names = sorted(name for name in self._front.models if name > token)
        answer: dict[str, Any] = {"models": [self._described(name) for name in names[:page]]}
        if len(names) > page:
            answer["nextPageToken"] = names[page - 1]
        return web.json_response(answer)

    async def show(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response(self._described(name)) if name in self._front.models else _not_loaded(request)

    async def unload(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        model = self._front.models.pop(name, None)
        if model is None:
            return _not_loaded(request)
        await asyncio.shield(self._forget(model))  # to its end, also when the client does not wait for it
        return web.json_response({"status": f"the model {name} is unloaded"})

    async def invoke(self, request: web.Request) -> web.Response:
        model = self._front.models.get(request.match_info["name"])
        return await invoke(request, model) if model else _not_loaded(request)

    async def _forget(self, model: Model) -> None:
        """Unload a model; its memory counts as taken until its workers have ended, whatever the client does."""
        try:
            await model.unload()
            await asyncio.to_thread(shutil.rmtree, self._store / model.name, ignore_errors=True)
        finally:
            del self._needs[model]

    def _folder(self, name: Any, url: Any) -> Path:
        """Return where the platform put a model; raises UserError for anything but MODELS/<name>/model."""
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", name):
            raise UserError(f"model_name {str(name)[:60]!r} must be letters, digits, dots, dashes and underscores")
        expected = self._front.settings.models_dir / name / "model"
        if url not in (str(expected), f"{expected}/"):
            raise UserError(f"url {str(url)[:200]!r} must be {expected}")
        if expected.is_symlink() or expected.parent.is_symlink() or not expected.is_dir():
            raise UserError(f"{expected} is no folder; links are not followed")
        return expected

    def _described(self, name: str) -> dict[str, str]:
        return {"modelName": name, "modelUrl": str(self._front.models[name].model_dir)}


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.glob("*.safetensors"))


def _not_loaded(request: web.Request) -> web.Response:
    return error(request, 404, f"the model {request.match_info['name'][:100]} is not loaded")

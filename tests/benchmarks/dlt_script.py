"""dlt with its REST source into SQLite: conversations, and from each of them its messages, merged by id."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_CURSOR = {"type": "cursor", "cursor_path": "nextCursor", "cursor_param": "cursor"}
_QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "RUNTIME__REQUEST_MAX_ATTEMPTS": "1"}


def configure(url: str, token: str) -> dict[str, Any]:
    """The source, as dlt's documentation builds one: a parent, and a child that runs beside it in threads."""
    return {
        "client": {
            "base_url": f"{url}/api/public/v1/",
            "auth": {"type": "bearer", "token": token},
            "paginator": _CURSOR,
        },
        "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
        "resources": [
            {
                "name": "conversations",
                "endpoint": {"path": "messages", "params": {"limit": 100}, "data_selector": "conversations"},
            },
            {
                "name": "messages",
                "parallelized": True,
                "endpoint": {
                    "path": "messages",
                    "params": {"limit": 100, "conversationId": "{resources.conversations.id}"},
                    "data_selector": "messages",
                },
            },
        ],
    }


def main() -> None:
    """`URL TOKEN FOLDER WORKERS`: load once, into FOLDER/dlt.db, with so many workers in each of dlt's stages."""
    url, token, folder, workers = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    stages = ("EXTRACT__WORKERS", "EXTRACT__MAX_PARALLEL_ITEMS", "LOAD__WORKERS")
    os.environ.update(_QUIET | dict.fromkeys(stages, workers) | {"HOME": str(folder), "DLT_DATA_DIR": str(folder)})
    dlt: Any = import_module("dlt")  # by name: it is here for the benchmark alone, and type checkers do without
    rest_api: Any = import_module("dlt.sources.rest_api")
    destinations: Any = import_module("dlt.destinations")
    pipeline = dlt.pipeline(
        pipeline_name="inbox",
        pipelines_dir=str(folder / "pipelines"),
        destination=destinations.sqlalchemy(credentials=f"sqlite:///{folder / 'dlt.db'}"),
        dataset_name="main",
    )
    loaded = pipeline.run(rest_api.rest_api_source(configure(url, token)))
    loaded.raise_on_failed_jobs()


if __name__ == "__main__":
    main()

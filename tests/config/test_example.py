import re
from collections.abc import Callable

from syncd.config.load import example_text
from syncd.config.models import (
    ACCOUNT_MODELS,
    ConfigFile,
    HeartbeatSettings,
    LogSettings,
    MetricsSettings,
    PublishSettings,
    Settings,
    StoreSettings,
)

Load = Callable[[str], Settings]


def test_the_example_loads_as_it_is(settings: Load) -> None:
    """What `syncd init` writes is one OpenTrain account that takes its token as the official tool does."""
    read = settings(example_text())
    assert list(read.accounts) == ["opentrain"]
    assert read.accounts["opentrain"].base_url == "https://app.opentrain.ai"


def test_the_example_shows_the_defaults(settings: Load) -> None:
    """Uncommenting every default changes nothing."""
    uncommented = re.sub(r"(?m)^#(?=\w)", "", example_text())
    assert uncommented != example_text()
    written, unwritten = settings(uncommented), settings(example_text())
    assert (written.store, written.log) == (unwritten.store, unwritten.log)
    assert written.accounts == unwritten.accounts


def test_the_optional_tables_of_the_example_are_right(settings: Load) -> None:
    """Uncommenting the tables that are off by default gives settings that hold."""
    text = example_text()
    tables = re.findall(r"(?m)^# (\[[a-z.]+\]\n(?:# \w+ = .*\n?)+)", text)
    read = settings(text + "\n".join(tables).replace("\n# ", "\n"))
    assert list(read.accounts) == ["opentrain", "ats"]
    assert None not in (read.metrics, read.heartbeat, read.publish)


def test_every_key_is_in_the_example() -> None:
    """No setting exists that the example does not show."""
    text = example_text()
    models = (StoreSettings, LogSettings, MetricsSettings, HeartbeatSettings, PublishSettings, *ACCOUNT_MODELS.values())
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()} - {"name"}
    assert {key for key in keys if key not in text} == set()
    assert all(f"[{table}" in text for table in ConfigFile.model_fields)

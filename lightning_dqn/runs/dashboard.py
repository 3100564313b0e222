"""A W&B workspace for runs of this package, made of the glossary."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_dqn.reporting.glossary import GLOSSARY, MEDIA
from lightning_dqn.reporting.sections import X_AXIS, pattern_of, sections
from lightning_dqn.reporting.wandb_connection import address, api_key, can_connect
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.files import write_json

_SMOOTHED = ("train/", "values/", "replay/", "network/", "time/")
"""What is noisy from row to row; evaluations and schedules are shown as they are."""

_SMOOTHING = 0.6
_INSTEAD = "path=dashboard.json writes it to a file, without an account"


def workspace(*, entity: str, project: str, name: str) -> Any:
    """Return the workspace, a ``wandb_workspaces.workspaces.Workspace``; nothing is sent.

    A section holds a panel for each key of the glossary, over env steps, runs by their group.

    Args:
        entity: user or team of the project.
        project: in which the runs are.
        name: of the workspace.

    Raises:
        ConfigError: the extra isn't installed.
    """
    views, _, expressions = _modules()
    made = sections([*GLOSSARY, *MEDIA])
    axis = {"x_axis": X_AXIS}
    return views.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[
            views.Section(
                name=section,
                panels=_panels(keys),
                is_open=number == 0,
                panel_settings=views.SectionPanelSettings(**axis),
            )
            for number, (section, keys) in enumerate(made.items())
        ],
        settings=views.WorkspaceSettings(**axis, group_by_prefix="first"),
        runset_settings=views.RunsetSettings(groupby=[expressions.Metric("Group")]),
    )


def write(made: Any, path: Path) -> None:
    """Write a workspace as JSON, as W&B's server takes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, made._spec)


def check_reachable() -> None:
    """Refuse to go on where W&B would ask for a login, or keep one waiting.

    Raises:
        ConfigError: no key is stored, or the host accepts no connection within 2 s.
    """
    import wandb

    settings = wandb.setup().settings
    if not api_key(settings) and not settings.identity_token_file:
        raise ConfigError(f"W&B: no API key was found; wandb login stores one, or {_INSTEAD}")
    if not can_connect(address(settings)):
        raise ConfigError(
            f"W&B: {settings.base_url} can't be reached; try again when it can, or {_INSTEAD}"
        )


def default_entity() -> str:
    """Return the user or team that W&B takes where none is named.

    Raises:
        ConfigError: W&B failed.
    """
    import wandb

    with _as_one_line():
        return str(wandb.Api().default_entity)


def save(made: Any) -> str:
    """Save a workspace to W&B as a new one, and return its address.

    Raises:
        ConfigError: W&B failed.
    """
    with _as_one_line(), contextlib.redirect_stderr(io.StringIO()):  # it tells the address too
        made.save()
        return str(made.url)


def _panels(keys: Sequence[str]) -> list[Any]:
    """Return a panel for each key; videos share one."""
    media = [key for key in keys if key in MEDIA]
    _, parts, _ = _modules()
    shown = [parts.MediaBrowser(title="videos", media_keys=media)] if media else []
    return [*(_panel(key, parts) for key in keys if key not in MEDIA), *shown]


def _panel(key: str, parts: Any) -> Any:
    if key.startswith("test/"):  # a number at the end of a run, no curve
        return parts.ScalarChart(title=key, metric=key, groupby_aggfunc="mean")
    pattern = pattern_of(key)
    what: dict[str, Any] = {"y": [key]} if pattern is None else {"metric_regex": pattern}
    if key.startswith(_SMOOTHED):
        what |= {
            "smoothing_type": "exponentialTimeWeighted",
            "smoothing_factor": _SMOOTHING,
            "smoothing_show_original": True,
        }
    return parts.LinePlot(title=key, x=X_AXIS, **what)


def _modules() -> tuple[Any, Any, Any]:
    """Return W&B's workspaces, the panels, and the expressions that runs are grouped by."""
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise ConfigError(
            "dashboard: wandb-workspaces missing: pip install 'lightning-dqn[dashboard]'"
        )
    with warnings.catch_warnings():  # it defines its models as pydantic 1 had it
        warnings.simplefilter("ignore", DeprecationWarning)
        from wandb_workspaces import expr, workspaces
        from wandb_workspaces.reports import v2
    return workspaces, v2, expr


@contextlib.contextmanager
def _as_one_line() -> Any:
    try:
        yield
    except Exception as error:  # whatever W&B's client may raise
        reason = first_line(error)
        raise ConfigError(f"W&B: {reason}; or {_INSTEAD}") from error

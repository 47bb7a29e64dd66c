"""`foldlog settings`: what can be set, and what is."""

import typer

from foldlog.cli import output
from foldlog.cli.arguments import Json, examples


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("settings", epilog=examples("foldlog settings", "FOLDLOG_BATCH_MS=50 foldlog settings --json"))(
        settings
    )


def settings(as_json: Json = False) -> None:
    """List the settings: each is read from the environment variable of its name."""
    from foldlog.settings import Settings, load

    values = load()
    found = [
        {
            "name": f"FOLDLOG_{name.upper()}",
            "value": _text(getattr(values, name)),
            "default": _text(field.default),
            "description": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        output.write_json(found)
    else:
        header = ("name", "value", "default", "description")
        output.write_table(header, [[str(row[column] or "") for column in header] for row in found])


def _text(value: object) -> str | None:
    return None if value is None else str(value)

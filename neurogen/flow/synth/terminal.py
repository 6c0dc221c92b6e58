"""A synthesis in a terminal."""

from rich.console import Console
from rich.text import Text

from neurogen.flow.synth.pipeline import Result


__all__ = ["print_result"]


def print_result(result: Result, console: Console) -> None:
    """Print blocks, figures, verdicts and the state of the certificate."""
    total = sum(result.blocks.values())
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.blocks.items())
    _say(console, f"{result.subject.name}, {result.backend}: {total} blocks", "bold")
    _say(console, kinds, "dim")
    for name, value in result.figures.items():
        _say(console, f"{name}: {value}")
    for level in result.levels:
        _say(console, f"PASS  {level.name} = Python: {level.tokens:,} tokens in {level.runs} runs", "green")
    _say(console, f"deadlock: {result.certificate}")
    for note in result.notes:
        _say(console, note, "dim")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)

"""An output format: a table of Markdown."""


def write(result, stream):
    """The rows, every value as Python writes it."""
    lines = [result.columns, ["---"] * len(result.columns), *result.rows]
    text = "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
    stream.write(text.encode())

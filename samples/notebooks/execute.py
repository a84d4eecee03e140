"""Executes notebooks from top to bottom: execute.py FOLDER NOTEBOOK..., the results go to the folder.

Ends with 1 and a message if a cell throws, writes to standard error, or has no output.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

KERNEL = "dl4j-retention"
# A cell may take this long, and the kernel to answer.
SECONDS = 600


def execute(path):
    """The notebook with fresh outputs."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = {
        "kernelspec": {"name": KERNEL, "display_name": "Java (dl4j-retention)", "language": "java"},
        "language_info": {"name": "java"},
    }
    client = NotebookClient(
        notebook,
        kernel_name=KERNEL,
        timeout=SECONDS,
        startup_timeout=SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "java"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
            check(cell)
    return notebook


def joined(outputs):
    """Outputs in which lines that were written one after the other are one text: how they arrive depends on the time."""
    result = []
    for output in outputs:
        last = result[-1] if result else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            result.append(output)
    return result


def check(cell):
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            raise ValueError("cell writes to standard error:\n" + cell.source + "\n" + output.text)
    if not cell.outputs:
        raise ValueError("cell has no output:\n" + cell.source)


def main(folder, *paths):
    for path in map(Path, paths):
        started = time.monotonic()
        try:
            notebook = execute(path)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError, ValueError) as failure:
            sys.exit(f"error: {path.name}: {failure}")
        nbformat.write(notebook, Path(folder) / path.name)
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


main(*sys.argv[1:])

"""Execute the tutorial and keep its pictures, tables and prints in the file.

    python docs/run_tutorial.py

Log lines and progress are left out of the file: they change with every run.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name('tutorial.ipynb')


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute a notebook; its outputs are put into it.

    Args:
        notebook (NotebookNode): The notebook, changed in place.
        folder (Path): The working directory.

    Raises:
        CellExecutionError: If a cell fails.
    """
    NotebookClient(
        notebook,
        timeout=1200,
        kernel_name='python3',
        record_timing=False,
        coalesce_streams=True,
        resources=dict(metadata=dict(path=str(folder))),
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            shown = [each for each in cell.outputs if each.output_type != 'stream']
            printed = [
                each
                for each in cell.outputs
                if each.output_type == 'stream' and each.name == 'stdout'
            ]
            # A cell that shows something prints nothing else but logs.
            cell.outputs = shown or printed
        for output in cell.get('outputs', ()):
            if 'text/html' in output.get('data', {}):
                output.data.pop('text/plain', None)
    notebook.metadata.pop('signature', None)
    del notebook.metadata['language_info']['version']


if __name__ == '__main__':
    tutorial = nbformat.read(NOTEBOOK, as_version=4)
    run(tutorial, NOTEBOOK.parent)
    nbformat.write(tutorial, NOTEBOOK)

import ast
from collections.abc import Mapping


class _DictCalls(ast.NodeTransformer):
    """Turn ``dict(key=value)`` and ``dict({...})`` into ``{...}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict':
            return node
        if node.args:
            return node.args[0]
        return ast.Dict(
            [ast.Constant(each.arg) for each in node.keywords],
            [each.value for each in node.keywords],
        )


def config_text(checkpoint: Mapping) -> str:
    """The text of the config in a checkpoint of OpenMMLab, empty without one.

    MMEngine keeps it under ``cfg``; MMDetection 2 and its contemporaries under
    ``config``.
    """
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping):
        return ''
    return str(meta.get('cfg') or meta.get('config') or '')


def read_assignment(text: str, name: str) -> object | None:
    """Read one value from the text of a resolved config; nothing is run.

    MMEngine would run the text as a program, but a checkpoint from elsewhere
    must not run code.

    Args:
        text (str): The text, as checkpoints hold it in ``meta``.
        name (str): Name of a top-level value.

    Returns:
        object: Plain data; None if the value is missing or not plain data.
    """
    return read_assignments(text).get(name)


def read_assignments(text: str) -> dict[str, object]:
    r"""Read all values from the text of a resolved config; nothing is run.

    Args:
        text (str): The text.

    Returns:
        dict: Plain data by name; what is not plain data is left out.

    Example:
        >>> read_assignments('optim = dict(lr=0.1)\nhook = print(1)')
        {'optim': {'lr': 0.1}}
    """
    try:
        statements = ast.parse(text).body
    except (RecursionError, SyntaxError, ValueError):
        return {}
    found = {}
    for statement in statements:
        if not isinstance(statement, ast.Assign):
            continue
        try:
            value = ast.literal_eval(_DictCalls().visit(statement.value))
        except (RecursionError, SyntaxError, TypeError, ValueError):
            continue
        found[ast.unparse(statement.targets[0])] = value
    return found


def plain_data(value):
    """A part of a config as plain data."""
    if isinstance(value, dict):
        return {key: plain_data(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(each) for each in value]
    return value

import ast


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
    try:
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and (
                ast.unparse(statement.targets[0]) == name
            ):
                return ast.literal_eval(_DictCalls().visit(statement.value))
    except (SyntaxError, ValueError):
        pass
    return None


def plain_data(value):
    """A part of a config as plain data."""
    if isinstance(value, dict):
        return {key: plain_data(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(each) for each in value]
    return value

"""The `name:option=value,option=value` texts by which a job names a restorer, a degradation or a factory."""

import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from deepot.arguments import nearest_hint
from deepot.errors import SpecError

_FACTORY_PATTERN = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<factory>[A-Za-z_]\w*)(:(?P<options>.*))?")


@dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Attributes:
        text: the text as given.
        name: what precedes the first colon.
        options: numbers as floats, other values as strings.
    """

    text: str
    name: str
    options: Mapping[str, float | str] = field(default_factory=dict)


def parse_options(text: str, spec: str) -> dict[str, float | str]:
    """Parse `option=value,option=value`; values that look like numbers become floats.

    Args:
        text: the options.
        spec: the spec that they belong to, for messages.

    Raises:
        SpecError: something between two commas is not of the form `option=value`.

    Example:
        >>> parse_options("sigma=50,mode=fast", "noise:sigma=50,mode=fast")
        {'sigma': 50.0, 'mode': 'fast'}
    """
    options: dict[str, float | str] = {}
    for pair in filter(None, text.split(",")):
        key, separator, value = pair.partition("=")
        if not separator or not key.strip().isidentifier():
            raise SpecError(f"'{spec}': '{pair}' is not of the form option=value")
        options[key.strip()] = _parse_value(value.strip())
    return options


def parse_spec(text: str) -> Spec:
    """Parse `name` or `name:option=value,option=value`.

    Raises:
        SpecError: the options are not of the form `option=value`.

    Example:
        >>> spec = parse_spec("noise:sigma=50")
        >>> spec.name, spec.options
        ('noise', {'sigma': 50.0})
    """
    name, _, rest = text.partition(":")
    return Spec(text, name.strip(), parse_options(rest, text))


def build_from_spec(spec: Spec, factories: Mapping[str, Callable[..., Any]], kind_name: str) -> Any:  # noqa: ANN401 — whatever the factory returns
    """Call the factory that a spec names with the options of the spec.

    Args:
        spec: the parsed spec.
        factories: factories by name.
        kind_name: what the factories make, for messages, such as `restorer`.

    Raises:
        SpecError: there is no factory of that name, or it does not take the options; the message lists the known ones.
    """
    if spec.name not in factories:
        hint = nearest_hint(spec.name, factories) or f"; known are {', '.join(sorted(factories))}"
        raise SpecError(f"unknown {kind_name} '{spec.name}' in '{spec.text}'{hint}")
    return _call_with_options(factories[spec.name], spec.options, spec.text)


def is_factory(text: str) -> bool:
    """Return whether a text has the form `module:factory` or `module:factory:option=value`.

    Example:
        >>> is_factory("my_models.denoisers:build:size=3"), is_factory("noise:sigma=50")
        (True, False)
    """
    return _FACTORY_PATTERN.fullmatch(text) is not None


def call_factory(text: str) -> Any:  # noqa: ANN401 — the factory decides
    """Import the module of a `module:factory[:option=value,…]` text and call the factory.

    This runs code of the module: callers must have checked that the user allows it.

    Raises:
        SpecError: the text has another form, the module cannot be imported or has no such factory, or the factory
            does not take the options.
    """
    match = _FACTORY_PATTERN.fullmatch(text)
    if match is None:
        raise SpecError(f"'{text}' is not of the form module:factory")
    try:
        module = importlib.import_module(match["module"])
    except ImportError as error:
        raise SpecError(
            f"'{text}': cannot import '{match['module']}' ({error}); is its folder on PYTHONPATH?"
        ) from error
    factory = getattr(module, match["factory"], None)
    if not callable(factory):
        raise SpecError(f"'{text}': module '{match['module']}' has no factory '{match['factory']}'")
    return _call_with_options(factory, parse_options(match["options"] or "", text), text)


def fingerprint(text: str, model: object) -> str:
    """Return the SHA-256 of a spec and, if the model that it names is a torch module, of its weights."""
    digest = hashlib.sha256(text.encode())
    if isinstance(model, nn.Module):
        for key, tensor in model.state_dict().items():
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _call_with_options(factory: Callable[..., Any], options: Mapping[str, float | str], text: str) -> Any:  # noqa: ANN401
    _check_options(factory, options, text)
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise SpecError(f"'{text}': {error}") from error


def _check_options(factory: Callable[..., Any], options: Mapping[str, float | str], text: str) -> None:
    """Check options against the signature of a factory.

    Raises:
        SpecError: an option is unknown, missing or not a number as annotated.
    """
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return  # some built-in callables have no signature
    if any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters.values()):
        return
    for name, value in options.items():
        if name not in parameters:
            raise SpecError(f"'{text}': there is no option '{name}'; known options: {', '.join(parameters) or 'none'}")
        if parameters[name].annotation in (float, int) and isinstance(value, str):
            raise SpecError(f"'{text}': {name} is '{value}', it must be a number")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise SpecError(f"'{text}': {name} is missing, as in {text}{',' if options else ':'}{name}=…")


def _parse_value(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value

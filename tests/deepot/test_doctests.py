"""Examples in docstrings run, and every public function and class has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import deepot

MODULES = sorted(module.name for module in pkgutil.walk_packages(deepot.__path__, "deepot."))
PUBLIC = sorted(
    name
    for name in deepot.__all__
    if inspect.isclass(getattr(deepot, name)) or inspect.isroutine(getattr(deepot, name))
)


def count_examples(item):
    """Number of examples in the docstrings of a function, or of a class and its methods."""
    module = inspect.getmodule(item)
    return sum(len(test.examples) for test in doctest.DocTestFinder().find(item, item.__name__, module))


@pytest.mark.parametrize("name", ["deepot", *MODULES])
def test_examples_of_a_module_give_the_output_that_they_show(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0, "see the captured output"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_function_or_class_has_an_example(name):
    docstring = inspect.getdoc(getattr(deepot, name)) or ""
    assert "Example:\n" in docstring, f"deepot.{name} lacks an Example section in its docstring"
    assert count_examples(getattr(deepot, name)) > 0, f"the example of deepot.{name} has no line that starts with >>>"


def test_public_names_are_functions_classes_or_constants():
    """The selection above must not lose a function that is wrapped by a decorator."""
    assert len(PUBLIC) > 20
    assert {"load_autoencoder", "Enhancer", "fit_map", "Moments", "load_degradation"} <= set(PUBLIC)


def test_wrong_example_is_noticed(capsys):
    def double(number):
        """Double a number.

        Example:
            >>> 2 * 2
            5
        """

    (found,) = doctest.DocTestFinder().find(double, "double")
    assert count_examples(double) == 1
    assert doctest.DocTestRunner().run(found).failed == 1
    assert "Expected:\n    5\nGot:\n    4" in capsys.readouterr().out

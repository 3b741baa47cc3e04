"""Exception groups: their leaves, in order, at any depth."""

from service.groups import leaves


def test_an_exception_that_is_no_group_is_its_own_leaf() -> None:
    error = ValueError("alone")
    assert list(leaves(error)) == [error]


def test_leaves_of_nested_groups_come_in_order() -> None:
    first, second, third, fourth = ValueError(1), KeyError(2), OSError(3), KeyboardInterrupt()
    inner = ExceptionGroup("inner", [second, ExceptionGroup("innermost", [third])])
    assert list(leaves(BaseExceptionGroup("outer", [first, inner, fourth]))) == [first, second, third, fourth]

"""The order of test files: nobody is left with all that wait."""

from tests.support.order import places


def test_files_that_wait_are_dealt_among_the_others() -> None:
    files = [("pure", f"{number}") for number in range(6)] + [("proof", "a"), ("proof", "b"), ("browser", "c")]
    place = places([*files, *files])
    order = sorted(place, key=lambda file: place[file])
    assert sorted(order) == sorted(files)
    kinds = "".join("w" if folder != "pure" else "-" for folder, _ in order)
    assert kinds == "-w--w--w-"
    assert [name for folder, name in order if folder == "pure"] == [str(number) for number in range(6)]

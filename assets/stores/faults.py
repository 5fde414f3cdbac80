"""What can be wrong with a file, in words for people."""


class FileFault(Exception):  # noqa: N818 (what is wrong is the file, not the program)
    """What is wrong with a file, as a sentence that a page shows."""

    transient = False  # whether a second attempt may end better


class PathFault(FileFault, ValueError):  # noqa: N818
    """A path that names no place in its store."""


class MissingFile(FileFault):
    """A path whose file is not there."""


class StoreTrouble(FileFault):
    """The store itself fails just now: a second attempt may end better."""

    transient = True

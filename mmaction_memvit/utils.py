# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What MMEngine's hub asks of a package that it builds models from."""


def register_all_modules() -> None:
    """Does nothing: the import of the package registers everything."""

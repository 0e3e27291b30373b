"""The official data models and the extensions of ASDF, with less of a wait.

asdf and roman_datamodels read some ninety manifests with PyYAML's loader in Python, a second of
each job; PyYAML's loader in C makes the same objects of them in a tenth of that.
"""

import asdf
import yaml

_python_loader = yaml.SafeLoader
yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[assignment,misc]
try:
    from roman_datamodels import datamodels

    # They are kept; who opens a file finds them loaded.
    _ = asdf.get_config().extensions
finally:
    yaml.SafeLoader = _python_loader  # type: ignore[misc]

__all__ = ["datamodels"]

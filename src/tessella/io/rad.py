"""The official data models, with less of a wait.

On import, roman_datamodels reads its manifests with PyYAML's loader in Python, which takes half a
second of each job; PyYAML's loader in C makes the same objects of them in a tenth of that.
"""

import yaml

_python_loader = yaml.SafeLoader
yaml.SafeLoader = yaml.CSafeLoader
try:
    from roman_datamodels import datamodels
finally:
    yaml.SafeLoader = _python_loader

__all__ = ["datamodels"]

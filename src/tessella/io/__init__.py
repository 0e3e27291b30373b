"""Files and formats: one module a product."""

import yaml

# asdf and roman_datamodels parse some seventy manifests with the pure Python reader in every
# job; libyaml's reads the same in a sixth of the time.
vars(yaml)["SafeLoader"] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

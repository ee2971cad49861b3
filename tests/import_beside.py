"""Makes torchvision importable where its operators cannot be loaded."""

from other_libraries import import_torchvision

library = import_torchvision()  # declarations live as long as it does

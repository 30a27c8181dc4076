"""Networks, and what is needed to build and train them. Everything here may import torch."""

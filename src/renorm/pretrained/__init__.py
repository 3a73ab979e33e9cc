"""The pretrained zoo: how its entries are trained, verified, shown and exported."""

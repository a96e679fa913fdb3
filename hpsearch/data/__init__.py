"""From label files to batches on the device: what there is, decoded once per node, served by index."""
